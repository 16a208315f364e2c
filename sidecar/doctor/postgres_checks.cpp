#include "sidecar/doctor/postgres_checks.hpp"

#include <charconv>
#include <functional>
#include <memory>

#include "sidecar/doctor/clocks.hpp"
#include "sidecar/doctor/postgres_judge.hpp"
#include "sidecar/keys/key_row.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey::doctor {
namespace {

constexpr std::size_t kMostRows = 1000;
constexpr std::string_view kInsufficientPrivilege = "42501";
constexpr std::string_view kQueryCanceled = "57014";
constexpr std::string_view kLockNotAvailable = "55P03";

constexpr const char* kServer =
    "SELECT current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery(), "
    "pg_backend_pid(), (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only')";

// Those of ours that are there, for IN.
const std::string kOurTables =
    "(to_regclass('api_keys'), to_regclass('apikey_schema'), to_regclass('usage_records'), "
    "to_regclass('usage_sources'), to_regclass('conversations'), to_regclass('messages'), "
    "to_regclass('audit_log'), to_regclass('idempotency_keys'))";

const std::string kTables =
    "SELECT relname, relrowsecurity FROM pg_class WHERE oid IN " + kOurTables + " ORDER BY relname COLLATE \"C\"";

const std::string kPolicies =
    "SELECT polname || ' ON ' || relname FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE polrelid IN " +
    kOurTables;

constexpr const char* kTriggers =
    "SELECT tgname, tgenabled FROM pg_trigger "
    "WHERE tgrelid IN (to_regclass('api_keys'), to_regclass('audit_log')) AND NOT tgisinternal";

// The fourth column: owns a table of ours, or is a member of the role that does.
const std::string kRoles =
    "SELECT rolname, rolsuper, rolbypassrls, NOT rolsuper AND EXISTS (SELECT FROM pg_class WHERE oid IN " + kOurTables +
    " AND pg_has_role(r.oid, relowner, 'USAGE')) FROM pg_roles r WHERE rolname = ANY ($1::text[])";

constexpr const char* kIsMember =
    "SELECT count(*) = 1 FROM pg_roles d, pg_roles u WHERE d.rolname = $1 AND u.rolname = 'apikey_user' "
    "AND pg_has_role(d.oid, u.oid, 'MEMBER')";

constexpr const char* kUnreadable =
    "SELECT coalesce(string_agg(attname, ', ' ORDER BY attnum), '') FROM pg_attribute "
    "WHERE attrelid = to_regclass('api_keys') AND attname IN ('id', 'user_id', 'name', 'key_hash', 'prefix', "
    "'is_active', 'scopes', 'expires_at', 'revoked_at') AND NOT has_column_privilege(attrelid, attnum, 'SELECT')";

// What applying usage needs and the connected role lacks, as GRANT writes it. Of a table that is not there the schema's
// finding tells.
constexpr const char* kUsageRights =
    "SELECT privilege || ' ON ' || name FROM (VALUES ('SELECT', 'usage_records'), ('INSERT', 'usage_records'), "
    "('UPDATE', 'usage_records'), ('DELETE', 'usage_records'), ('SELECT', 'usage_sources'), "
    "('INSERT', 'usage_sources'), ('UPDATE', 'usage_sources')) AS needed (privilege, name) "
    "WHERE NOT has_table_privilege(to_regclass(name), privilege) "
    "UNION ALL SELECT 'UPDATE (last_used_at) ON api_keys' "
    "WHERE NOT has_column_privilege(to_regclass('api_keys'), 'last_used_at', 'UPDATE') "
    "UNION ALL SELECT format('TEMPORARY ON DATABASE %I', current_database()) "
    "WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')";

// Whether any policy but the key holders' lets the connected role read rows.
constexpr const char* kSeesKeys =
    "SELECT NOT row_security_active(to_regclass('api_keys')) OR EXISTS (SELECT FROM pg_policy "
    "WHERE polrelid = to_regclass('api_keys') AND polpermissive AND polcmd IN ('*', 'r') AND polname <> "
    "'apikey_user_own' "
    "AND EXISTS (SELECT FROM unnest(polroles) AS whose WHERE whose = 0 OR pg_has_role(whose, 'USAGE')))";

// What may be unservable; KeyFields says whether it is.
std::string suspicious_rows() {
    return std::string("SELECT ") + kKeyRowColumns +
           R"( FROM api_keys WHERE is_active AND revoked_at IS NULL AND (key_hash IS NULL OR key_hash !~ '^[0-9a-f]{64}$'
           OR id IS NULL OR user_id IS NULL OR user_id = '' OR concat(user_id, name, prefix) ~ '[\x01-\x1f\x7f]'
           OR octet_length(concat(user_id, name, prefix, scopes::text)) > 4096
           OR array_ndims(scopes) > 1 OR EXISTS (SELECT FROM unnest(scopes) AS scope
           WHERE scope IS NULL OR scope = '' OR scope ~ '[\x01-\x20\x7f]')) LIMIT )" +
           std::to_string(kMostRows);
}

bool is_true(const PgResult& result, int row, int column) {
    return cell(result, row, column) == "t";
}

std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// What `make` makes of each row: make(result, row).
template <class Make>
auto all_of(const PgResult& result, Make make) {
    std::vector<decltype(make(result, 0))> all;
    all.reserve(static_cast<std::size_t>(rows(result)));
    for (int i = 0; i < rows(result); ++i)
        all.push_back(make(result, i));
    return all;
}

std::string first_column(const PgResult& result, int row) {
    return std::string(cell(result, row, 0));
}
Role role_of(const PgResult& result, int row) {
    return {first_column(result, row), is_true(result, row, 1), is_true(result, row, 2), is_true(result, row, 3)};
}
Table table_of(const PgResult& result, int row) {
    return {first_column(result, row), is_true(result, row, 1)};
}
Trigger trigger_of(const PgResult& result, int row) {
    return {first_column(result, row), cell(result, row, 1).front()};
}

// Shorter than apikeyd's: doctor is to end within seconds.
Postgres::Options connection_options(const char* servers) {
    Postgres::Options options;
    options.application = "apikeyctl doctor";
    options.servers = servers;
    options.lock_timeout = std::chrono::seconds(1);
    options.statement_timeout = std::chrono::seconds(3);
    options.answer_timeout = std::chrono::seconds(4);
    return options;
}

class PostgresExamination {
  public:
    PostgresExamination(Postgres& postgres, Findings& findings) : postgres_(postgres), findings_(findings) {}

    // Throws PostgresError when the connection is lost.
    void run() {
        part("postgres.version", [this] { read_server(); });
        part("postgres.schema", [this] { read_schema(); });
        part("postgres.roles", [this] { read_roles(); });
        part("postgres.tables", [this] { read_tables(); });
        part("postgres.rows", [this] { read_rows(); });
        part("clock.postgres", [this] { read_clock(); });
    }

  private:
    // A statement that the server refuses is a finding, and the rest is looked at all the same.
    void part(const char* check, const std::function<void()>& read) {
        try {
            read();
        } catch (const PostgresError& error) {
            if (error.sqlstate().empty()) throw;
            const bool late = error.sqlstate() == kQueryCanceled || error.sqlstate() == kLockNotAvailable;
            if (late) {
                findings_.note(check, "not looked at, it takes too long: " + std::string(error.what()),
                               "try again when the database has less to do; does somebody hold a lock on api_keys?");
            } else {
                findings_.error(check, error.what(),
                                error.sqlstate() == kInsufficientPrivilege
                                    ? "postgres.privileges says which rights are missing"
                                    : "is the schema whole? apikeyctl migrate makes it");
            }
        }
    }

    void read_server() {
        const PgResult result = postgres_.query(kServer);
        Server server;
        server.version = cell(result, 0, 0);
        server.version_number = static_cast<int>(number(cell(result, 0, 1)));
        server.in_recovery = is_true(result, 0, 2);
        server.through_pooler = number(cell(result, 0, 3)) != postgres_.backend_pid();
        server.read_only_default = is_true(result, 0, 4);
        judge_server(server, findings_);
    }

    void read_schema() {
        try {
            require_schema(postgres_);
            findings_.ok("postgres.schema", "schema version " + std::to_string(schema_version()));
        } catch (const SchemaMismatch& mismatch) {
            findings_.error("postgres.schema", mismatch.what_is_wrong(), mismatch.advice());
        }
    }

    std::vector<Role> roles_of(const std::string& names) {
        return all_of(postgres_.query(kRoles.c_str(), {names}), role_of);
    }

    void read_roles() {
        judge_roles(roles_of("{apikeyd,apikey_user}"), is_true(postgres_.query(kIsMember, {"apikeyd"}), 0, 0),
                    findings_);
    }

    void read_tables() {
        const std::vector<Table> tables = all_of(postgres_.query(kTables.c_str()), table_of);
        has_keys_ = !tables.empty() && tables.front().name == "api_keys";
        if (!has_keys_) return;  // which the schema's finding says
        judge_row_security(tables, findings_);
        judge_policies(all_of(postgres_.query(kPolicies.c_str()), first_column), findings_);
        judge_triggers(all_of(postgres_.query(kTriggers), trigger_of), findings_);
        read_connected_role();
    }

    void read_connected_role() {
        const std::string name(cell(postgres_.query("SELECT current_user"), 0, 0));
        ConnectedRole connected;
        connected.role = roles_of(array_literal({name})).front();
        connected.may_become_user = is_true(postgres_.query(kIsMember, {name}), 0, 0);
        connected.unreadable = cell(postgres_.query(kUnreadable), 0, 0);
        connected.sees_keys = is_true(postgres_.query(kSeesKeys), 0, 0);
        judge_connected_role(connected, findings_);
        judge_usage_rights(name, all_of(postgres_.query(kUsageRights), first_column), findings_);
    }

    void read_rows() {
        if (!has_keys_) return;
        const PgResult result = postgres_.query(suspicious_rows().c_str());
        Unservable unservable;
        unservable.most = kMostRows;
        for (int i = 0; i < rows(result); ++i) {
            const KeyRow row = key_row(result, i);
            const auto fields = KeyFields::of(row);
            if (fields.ok()) continue;
            if (unservable.count++ == 0) unservable = {1, kMostRows, std::string(row.id), fields.error()};
        }
        judge_rows(unservable, findings_);
    }

    void read_clock() {
        const Skew skew = measure_skew([this] {
            const PgResult result =
                postgres_.query("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
            return number(cell(result, 0, 0));
        });
        judge_skew("clock.postgres", "Postgres'", skew, findings_);
    }

    Postgres& postgres_;
    Findings& findings_;
    bool has_keys_ = false;
};

bool is_standby(const PostgresError& error) {
    return std::string_view(error.what()).find("hot standby") != std::string_view::npos;
}

// Nothing, after a finding, when there is no connection. A server that is only no primary is examined all the same.
std::unique_ptr<Postgres> connect(const Settings& settings, const std::string& place, Findings& findings) {
    std::unique_ptr<Postgres> postgres;
    try {
        try {
            postgres = std::make_unique<Postgres>(settings.postgres, connection_options("primary"));
        } catch (const PostgresError& error) {
            if (!is_standby(error)) throw;
            postgres = std::make_unique<Postgres>(settings.postgres, connection_options("any"));
        }
        findings.ok("postgres.connection", postgres->display());
    } catch (const PostgresError& error) {
        findings.error("postgres.connection", error.what(), advice_for_postgres(error.what(), place));
    }
    return postgres;
}

}  // namespace

void check_postgres(const Settings& settings, const std::string& place, Findings& findings) {
    const std::unique_ptr<Postgres> postgres = connect(settings, place, findings);
    if (!postgres) return;
    try {
        PostgresExamination(*postgres, findings).run();
    } catch (const PostgresError& error) {
        findings.error("postgres.answers", std::string(error.what()) + ": the rest of Postgres was not looked at",
                       "see PostgreSQL's log; is the server overloaded?");
    }
}

}  // namespace apikey::doctor
