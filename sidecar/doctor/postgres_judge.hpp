// What Postgres says of itself and of our schema in it, judged: facts in, findings out. postgres_checks.hpp asks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sidecar/doctor/findings.hpp"

namespace apikey::doctor {

struct Server {
    std::string version;             // as it writes it, e.g. 15.6
    int version_number = 0;          // e.g. 150006
    bool in_recovery = false;        // a standby
    bool read_only_default = false;  // transactions of this role are, unless they say otherwise
    bool through_pooler = false;
};
// postgres.version, postgres.primary, postgres.read_only, and postgres.pooler where there is one.
void judge_server(const Server& server, Findings& findings);

// A table of ours.
struct Table {
    std::string name;
    bool row_security = false;
};
// postgres.row_security.
void judge_row_security(const std::vector<Table>& tables, Findings& findings);

// postgres.policies: `present` as "policy ON table".
void judge_policies(const std::vector<std::string>& present, Findings& findings);

struct Trigger {
    std::string name;
    char enabled = 'O';  // pg_trigger.tgenabled
};
// postgres.triggers: without them changes are not announced, or not written down.
void judge_triggers(const std::vector<Trigger>& present, Findings& findings);

struct Role {
    std::string name;
    bool superuser = false;
    bool bypasses_row_security = false;
    bool owns_tables = false;
};
// postgres.roles: apikeyd and apikey_user, of those that exist; `is_member`: the first may become the second.
void judge_roles(const std::vector<Role>& roles, bool is_member, Findings& findings);

// The role that the connection string names.
struct ConnectedRole {
    Role role;
    bool may_become_user = false;  // SET ROLE apikey_user
    bool sees_keys = false;        // row-level security lets it
    std::string unreadable;        // columns that it may not SELECT, separated by ", "
};
// postgres.role, postgres.privileges.
void judge_connected_role(const ConnectedRole& connected, Findings& findings);

// postgres.usage: `missing` are rights that usage needs and this role has not, e.g. "INSERT ON usage_records".
void judge_usage_rights(const std::string& role, const std::vector<std::string>& missing, Findings& findings);

// postgres.rows: active keys that cannot be served. `most` of them are looked at.
struct Unservable {
    std::size_t count = 0;
    std::size_t most = 0;
    std::string example_id;
    std::string why;
};
void judge_rows(const Unservable& rows, Findings& findings);

// What to do where a connection fails. `place` is the setting's, FILE:LINE.
std::string advice_for_postgres(const std::string& message, const std::string& place);

}  // namespace apikey::doctor
