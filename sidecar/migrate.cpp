#include "sidecar/migrate.hpp"

#include "sidecar/postgres.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

// Waiting for ALTER TABLE's lock holds up everybody who comes after us: not for long.
constexpr std::chrono::seconds kLockTimeout{5};
// Building an index on a large table takes what it takes.
constexpr std::chrono::hours kLongest{24};
// Any constant will do, as long as it is ours ("apikeyd" in ASCII).
constexpr const char* kLock = "SELECT pg_advisory_xact_lock(27428947188608356)";

Postgres::Options connection_options(const MigrateOptions& options) {
    Postgres::Options connection;
    connection.application = "apikeyctl migrate";
    connection.lock_timeout = kLockTimeout;
    connection.statement_timeout = std::chrono::seconds(0);  // none
    connection.answer_timeout = kLongest;
    connection.on_notice = options.on_notice;
    return connection;
}

// False: somebody else applied it meanwhile.
bool apply(Postgres& postgres, const Migration& migration, bool enable_rls) {
    Transaction transaction(postgres);
    postgres.query(kLock);
    if (applied_version(postgres) >= migration.version) return false;
    if (enable_rls) postgres.execute("SET LOCAL apikey.enable_rls = 'on'");
    postgres.execute(std::string(migration.sql));
    transaction.commit();
    return true;
}

}  // namespace

std::vector<std::string> migrate(const std::string& dsn, const MigrateOptions& options) {
    Postgres postgres(dsn, connection_options(options));
    const int found = applied_version(postgres);
    if (found > schema_version()) {
        throw SchemaMismatch("the database has schema version " + std::to_string(found) + ", this apikeyctl knows " +
                                 std::to_string(schema_version()),
                             "use the newer one");
    }
    std::vector<std::string> applied;
    for (const Migration& migration : migrations()) {
        if (migration.version <= found) continue;
        if (apply(postgres, migration, options.enable_rls)) applied.emplace_back(migration.name);
    }
    return applied;
}

}  // namespace apikey
