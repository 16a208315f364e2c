#include "sidecar/doctor/postgres_judge.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

namespace apikey::doctor {
namespace {

constexpr int kOldestVersion = 140'000;
// apikeyctl migrate leaves a database alone that has its version; the file itself may run any number of times.
constexpr const char* kMigrateAgain =
    "run the files of db/migrations again with psql, in their order, as the owner of api_keys";

struct Policy {
    std::string_view name;  // "policy ON table"
    std::string_view sql;
    std::string_view lost;  // what is wrong without it
};
constexpr const char* kUsageWaits = "usage is not applied, and waits in Redis";
constexpr std::array<Policy, 13> kPolicies = {{
    {"apikeyd_reads ON api_keys", "CREATE POLICY apikeyd_reads ON api_keys FOR SELECT TO apikeyd USING (true);",
     "the role apikeyd sees no keys, and would remove all of them from Redis"},
    {"apikeyd_reads ON apikey_schema",
     "CREATE POLICY apikeyd_reads ON apikey_schema FOR SELECT TO apikeyd USING (true);",
     "the role apikeyd does not see the schema's version"},
    {"apikey_user_own ON api_keys", kMigrateAgain, "key holders see no keys"},
    {"apikey_user_reads ON usage_records", kMigrateAgain, "key holders see no usage"},
    {"apikey_user_imports ON usage_records", kMigrateAgain, "key holders cannot import usage"},
    {"apikey_user_own ON conversations", kMigrateAgain, "key holders see no conversations"},
    {"apikey_user_own ON messages", kMigrateAgain, "key holders see no messages"},
    {"apikey_user_own ON idempotency_keys", kMigrateAgain, "key holders cannot send a request again"},
    {"apikey_user_reads ON audit_log", kMigrateAgain, "key holders do not see what was done to their keys"},
    {"apikeyd_reads ON audit_log", "CREATE POLICY apikeyd_reads ON audit_log FOR SELECT TO apikeyd USING (true);",
     "`apikeyctl audit` shows nothing to the role apikeyd"},
    {"apikeyd_updates ON api_keys",
     "CREATE POLICY apikeyd_updates ON api_keys FOR UPDATE TO apikeyd USING (true) WITH CHECK (true);",
     "the role apikeyd does not move last_used_at"},
    {"apikeyd_serves ON usage_records",
     "CREATE POLICY apikeyd_serves ON usage_records TO apikeyd USING (true) WITH CHECK (true);", kUsageWaits},
    {"apikeyd_serves ON usage_sources",
     "CREATE POLICY apikeyd_serves ON usage_sources TO apikeyd USING (true) WITH CHECK (true);", kUsageWaits},
}};

struct NeededTrigger {
    std::string_view name;
    std::string_view table;
    std::string_view lost;  // what is wrong without it
};
constexpr const char* kNotAnnounced = "changes are not announced, and come into force minutes later";
constexpr const char* kNotWrittenDown = "changes are not written into audit_log";
constexpr std::array<NeededTrigger, 7> kTriggers = {{
    {"apikey_inserted_or_deleted", "api_keys", kNotAnnounced},
    {"apikey_updated", "api_keys", kNotAnnounced},
    {"apikey_emptied", "api_keys", kNotAnnounced},
    {"apikey_audit_rows", "api_keys", kNotWrittenDown},
    {"apikey_audit_changes", "api_keys", kNotWrittenDown},
    {"apikey_audit_emptied", "api_keys", kNotWrittenDown},
    {"apikey_only_added", "audit_log", "what is written there can be changed and deleted"},
}};
constexpr std::array<std::string_view, 2> kRoles = {"apikeyd", "apikey_user"};

std::string operator+(std::string text, std::string_view more) {
    return std::move(text.append(more));
}

// What a role is that should be neither; empty: all is well.
std::string rights_of(const Role& role) {
    std::string rights;
    const auto add = [&](bool has, const char* what) {
        if (has) rights += (rights.empty() ? "" : ", ") + std::string(what);
    };
    add(role.superuser, "is a superuser");
    add(role.bypasses_row_security && !role.superuser, "bypasses row-level security");
    add(role.owns_tables, "owns our tables");
    return rights;
}

std::string advice_for_role(const Role& role) {
    if (role.superuser || role.bypasses_row_security) {
        return "ALTER ROLE " + role.name + " NOSUPERUSER NOBYPASSRLS;" +
               (role.owns_tables ? " and give api_keys to the application's role (ALTER TABLE api_keys OWNER TO ...)"
                                 : "");
    }
    return "ALTER TABLE api_keys OWNER TO the application's role; the same for apikey_schema";
}

}  // namespace

void judge_server(const Server& server, Findings& findings) {
    if (server.version_number < kOldestVersion) {
        findings.error("postgres.version", "PostgreSQL " + server.version + " is too old", "upgrade to 14 or newer");
    } else {
        findings.ok("postgres.version", "PostgreSQL " + server.version);
    }
    if (server.in_recovery) {
        findings.error(
            "postgres.primary", "it is a standby: nothing can be changed there, and it sends no notices",
            "let `postgres` name the primary; several hosts may be listed, the one that is primary is taken");
    } else {
        findings.ok("postgres.primary", "it is a primary");
    }
    if (server.read_only_default) {
        findings.warning("postgres.read_only",
                         "transactions are read-only by default: applications may be unable to change keys",
                         "where the hosting set it because the disk is full, make room; else find it with \\drds in "
                         "psql and ALTER DATABASE ... RESET default_transaction_read_only;");
    } else {
        findings.ok("postgres.read_only", "transactions may write");
    }
    if (server.through_pooler) {
        findings.note("postgres.pooler", "the connection goes through a pooler",
                      "it must be in session mode (PgBouncer: pool_mode = session): LISTEN needs its own connection");
    }
}

void judge_row_security(const std::vector<Table>& tables, Findings& findings) {
    bool all = true;
    for (const Table& table : tables) {
        if (table.row_security) continue;
        all = false;
        findings.error("postgres.row_security",
                       "row-level security of " + table.name + " is off: every role with rights on it sees all rows",
                       "ALTER TABLE " + table.name + " ENABLE ROW LEVEL SECURITY;");
    }
    if (all) findings.ok("postgres.row_security", "row-level security is on");
}

void judge_policies(const std::vector<std::string>& present, Findings& findings) {
    bool all = true;
    for (const Policy& policy : kPolicies) {
        if (std::find(present.begin(), present.end(), policy.name) != present.end()) continue;
        all = false;
        findings.error("postgres.policies", "the policy " + policy.name + " is not there: " + policy.lost,
                       std::string(policy.sql));
    }
    if (all) findings.ok("postgres.policies", "all policies are there");
}

void judge_triggers(const std::vector<Trigger>& present, Findings& findings) {
    bool all = true;
    for (const NeededTrigger& needed : kTriggers) {
        const auto trigger =
            std::find_if(present.begin(), present.end(), [&](const Trigger& t) { return t.name == needed.name; });
        const std::string which = fmt::format("the trigger {} of {}", needed.name, needed.table);
        if (trigger == present.end()) {
            findings.error("postgres.triggers", fmt::format("{} is not there: {}", which, needed.lost), kMigrateAgain);
        } else if (trigger->enabled == 'D' || trigger->enabled == 'R') {
            const std::string advice = fmt::format("ALTER TABLE {} ENABLE TRIGGER {};{}", needed.table, needed.name,
                                                   needed.lost == kNotAnnounced ? " then `apikeyctl sync`" : "");
            findings.error("postgres.triggers", fmt::format("{} is disabled: {}", which, needed.lost), advice);
        } else {
            continue;
        }
        all = false;
    }
    if (all)
        findings.ok("postgres.triggers", "changes are announced and written down: all triggers are there and enabled");
}

void judge_roles(const std::vector<Role>& roles, bool is_member, Findings& findings) {
    std::size_t good = 0;
    for (const std::string_view name : kRoles) {
        const auto role = std::find_if(roles.begin(), roles.end(), [&](const Role& r) { return r.name == name; });
        if (role == roles.end()) {
            findings.error("postgres.roles", "the role " + name + " does not exist", kMigrateAgain);
        } else if (const std::string rights = rights_of(*role); !rights.empty()) {
            findings.error("postgres.roles",
                           "the role " + name + " " + rights + ": row-level security does not bind it",
                           advice_for_role(*role));
        } else {
            ++good;
        }
    }
    if (good < kRoles.size()) return;
    if (is_member)
        return findings.ok("postgres.roles", "apikeyd and apikey_user exist, without rights that they need not");
    findings.error("postgres.roles", "apikeyd is no member of apikey_user: it cannot act for key holders",
                   "GRANT apikey_user TO apikeyd;");
}

void judge_connected_role(const ConnectedRole& connected, Findings& findings) {
    const Role& role = connected.role;
    const std::string rights = rights_of(role);
    if (rights.empty()) {
        findings.ok("postgres.role", role.name + " has no more rights than it needs");
    } else {
        findings.note("postgres.role", role.name + " " + rights + ": it works, with more rights than apikeyd needs",
                      "let `postgres` name the user apikeyd (\\password apikeyd in psql, or peer authentication)");
    }
    if (!connected.may_become_user) {
        findings.error("postgres.privileges",
                       role.name + " may not become apikey_user: keys cannot be made or revoked by it",
                       "GRANT apikey_user TO \"" + role.name + "\";");
    } else if (!connected.unreadable.empty()) {
        findings.error("postgres.privileges", role.name + " may not read columns of api_keys: " + connected.unreadable,
                       "GRANT SELECT (" + connected.unreadable + ") ON api_keys TO \"" + role.name + "\";");
    } else if (!connected.sees_keys) {
        findings.error(
            "postgres.privileges",
            "row-level security shows " + role.name + " no keys: all would be removed from Redis",
            "let `postgres` name the user apikeyd, or CREATE POLICY apikeyd_reads_too ON api_keys FOR SELECT TO \"" +
                role.name + "\" USING (true);");
    } else {
        findings.ok("postgres.privileges", role.name + " reads api_keys and may become apikey_user");
    }
}

void judge_usage_rights(const std::string& role, const std::vector<std::string>& missing, Findings& findings) {
    if (missing.empty()) return findings.ok("postgres.usage", role + " may apply usage");
    const std::string to_role = " TO \"" + role + "\";";
    std::string grants;
    for (const std::string& right : missing)
        grants.append(grants.empty() ? "" : " ").append("GRANT ").append(right).append(to_role);
    findings.error("postgres.usage", role + " may not apply usage, which waits in Redis: it lacks rights", grants);
}

void judge_rows(const Unservable& rows, Findings& findings) {
    if (rows.count == 0) return findings.ok("postgres.rows", "every active key can be served");
    findings.warning("postgres.rows",
                     (rows.count == rows.most ? "at least " : "") + std::to_string(rows.count) +
                         (rows.count == 1 ? " active key" : " active keys") + " cannot be served, " +
                         (rows.count == 1 ? "" : "for example ") + "id " + rows.example_id + ": " + rows.why,
                     "correct or revoke it: UPDATE api_keys SET ... WHERE id = '" + rows.example_id + "';");
}

std::string advice_for_postgres(const std::string& message, const std::string& place) {
    const auto says = [&](const char* word) { return message.find(word) != std::string::npos; };
    const std::string here = place + ": ";
    if (says("password")) return here + "give the right password, best in a passfile (~/.pgpass of this user)";
    if (says("pg_hba.conf") || says("authentication")) {
        return here + "let pg_hba.conf of the server allow this user, or name another in `postgres`";
    }
    if (says("does not exist")) return here + "is the database or user of `postgres` right?";
    return here + "is `postgres` right? Does PostgreSQL run there (systemctl status postgresql, pg_isready)?";
}

}  // namespace apikey::doctor
