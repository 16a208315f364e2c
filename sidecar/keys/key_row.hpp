// A row of api_keys and what Redis holds of it: the fields of apikey:k:<hash> (DESIGN §3.5).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/key_facts.hpp"
#include "core/result.hpp"
#include "sidecar/handles.hpp"

namespace apikey {

// The columns that key_row() reads, in its order; put between SELECT and FROM. `expires` becomes unix seconds
// here, rounded down so that a key is refused up to a second early and never late; what lies before 1970
// becomes 1, since 0 and empty mean never.
inline constexpr const char* kKeyRowColumns =
    "key_hash, id::text, user_id, name, prefix, scopes::text, "
    "CASE WHEN expires_at IS NULL OR expires_at = 'infinity' THEN '' "
    "WHEN expires_at < 'epoch'::timestamptz + interval '1 second' THEN '1' "
    "ELSE floor(extract(epoch FROM expires_at))::bigint::text END, "
    "coalesce(is_active AND revoked_at IS NULL, false)";

// Views into the PGresult that it was read from.
struct KeyRow {
    std::string_view hash;
    std::string_view id;
    std::string_view user;
    std::string_view name;
    std::string_view prefix;
    std::optional<std::string_view> scopes;  // as Postgres writes text[]; nullopt: NULL
    std::string_view expires;
    bool active = false;  // is_active and not revoked
};
KeyRow key_row(const PgResult& result, int row);

// The values of kFactFields, in their order; views into the row, but for the scopes.
class KeyFields {
  public:
    // Error: why nginx could not use this row (nothing of the row is in it).
    static Result<KeyFields> of(const KeyRow& row);

    [[nodiscard]] std::array<std::string_view, kFactFields.size()> values() const noexcept {
        return {row_.hash, row_.id, row_.user, row_.name, row_.prefix, scopes_, row_.expires};
    }

  private:
    KeyFields(const KeyRow& row, std::string scopes) : row_(row), scopes_(std::move(scopes)) {}

    KeyRow row_;
    std::string scopes_;
};

// A text[] as Postgres writes it ({a,"b c"}) as scopes separated by spaces. Error: it has more than one
// dimension, a NULL or empty element, or an element with a space or control byte.
Result<std::string> join_scopes(std::string_view array);

// The other way: an array literal of any strings.
std::string array_literal(const std::vector<std::string>& elements);

}  // namespace apikey
