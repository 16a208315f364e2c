// audit_log: what was done to keys. The trigger of db/migrations/004_management.sql writes it; here it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/postgres.hpp"

namespace apikey {

// Where a change came from, as audit_log says.
inline constexpr const char* kSourceApi = "api";
inline constexpr const char* kSourceApikeyctl = "apikeyctl";

struct AuditEntry {
    std::string id;    // a number; later ones are larger
    std::string at;    // ISO 8601 in UTC, with milliseconds
    std::string user;  // whose key; empty: everybody's
    std::optional<std::string> key_id;
    std::optional<std::string> key_name;
    std::optional<std::string> key_prefix;
    std::string action;  // created, renamed, revoked, restored, rotated, reissued, moved, changed, deleted, emptied
    std::string actor;
    std::optional<std::string> actor_key;
    std::string source;  // kSourceApi, kSourceApikeyctl, or sql
    std::optional<std::string> address;
    std::string details;  // JSON: {"name": [before, after], …}
};

struct AuditPage {
    std::vector<AuditEntry> entries;  // the latest first
    bool more = false;                // there are earlier ones
};

struct AuditQuery {
    std::optional<std::string> user;  // only of this user's keys
    std::uint64_t limit = 50;
    std::optional<std::uint64_t> before;  // only those whose id is less
};

// Throws PostgresError.
AuditPage read_audit_log(Postgres& postgres, const AuditQuery& query);
// Likewise of one user, in its own name (row-level security).
AuditPage read_own_audit_log(Postgres& postgres, const std::string& user, AuditQuery query);

}  // namespace apikey
