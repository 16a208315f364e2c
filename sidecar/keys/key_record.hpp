// A key as people see it: never its hash, and the key itself only where it was just made.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/postgres.hpp"

namespace apikey {

// Times are ISO 8601 in UTC; nullopt: NULL (or, for `expires_at`, never).
struct KeyRecord {
    std::string id;
    std::string user;
    std::string name;
    std::string prefix;
    std::optional<std::vector<std::string>> scopes;  // nullopt: unrestricted
    std::optional<std::string> created_at;
    std::optional<std::string> last_used_at;
    std::optional<std::string> expires_at;
    bool is_active = false;
};

// The only place where a key itself is ever held.
struct MadeKey {
    std::string key;
    KeyRecord record;
};

// How long a holder waits for a list of keys, or of what was done to them.
inline constexpr std::chrono::seconds kLongestRead{10};

// The columns that record_of() reads, in its order; put between SELECT and FROM, or behind RETURNING.
extern const char* const kRecordColumns;
KeyRecord record_of(const PgResult& result, int row);

// A text[] as to_json() writes it.
std::optional<std::vector<std::string>> scopes_of(const std::optional<std::string>& json);

// A cell that may be NULL.
inline std::optional<std::string> text_or_null(const PgResult& result, int row, int column) {
    if (is_null(result, row, column)) return std::nullopt;
    return std::string(cell(result, row, column));
}

}  // namespace apikey
