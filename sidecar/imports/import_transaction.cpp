#include "sidecar/imports/import_transaction.hpp"

#include "core/decimal.hpp"
#include "sidecar/imports/row_reader.hpp"
#include "sidecar/usage_writer.hpp"
#include "sidecar/user_transaction.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

// The server ends a statement first.
constexpr std::chrono::seconds kAnswerTimeout = ImportTransaction::kStatementTimeout + std::chrono::seconds(10);
// About how many rows are read between two calls of on_rows.
constexpr std::uint64_t kRowsBetweenReports = 1000;

std::string in_seconds(std::chrono::seconds time) {
    return "'" + std::to_string(time.count()) + "s'";
}

}  // namespace

// The lock is taken before anything is looked at, by a statement of its own: the next one sees what was committed until then.
ImportTransaction::ImportTransaction(Postgres& postgres, const std::string& user)
    : postgres_(postgres), user_(user), transaction_(postgres) {
    postgres_.execute("SET LOCAL statement_timeout = " + in_seconds(kStatementTimeout) +
                      "; SET LOCAL lock_timeout = " + in_seconds(kLockTimeout));
    query("SELECT pg_advisory_xact_lock(hashtextextended('apikey import ' || $1::text, 0))");
}

void ImportTransaction::fill(const std::string& tables, const std::vector<Postgres::CopyText>& copies) {
    postgres_.execute_with(tables, copies);
}

void ImportTransaction::become_user() {
    apikey::become_user(postgres_, user_);
}

PgResult ImportTransaction::query(const char* sql) {
    return postgres_.query_within(kAnswerTimeout, sql, {user_});
}

std::uint64_t ImportTransaction::change(const char* sql) {
    return parse_decimal(PQcmdTuples(query(sql).get())).value_or(0);
}

bool read_rows(ByteSource& source, RowReader& reader, const ImportHooks& hooks, ImportOutcome& outcome) {
    bool is_good = true;
    std::uint64_t reported = 0;
    for (std::string_view bytes = source.read(); is_good && !bytes.empty(); bytes = source.read()) {
        is_good = reader.feed(bytes);
        if (hooks.on_rows && reader.rows() >= reported + kRowsBetweenReports) hooks.on_rows(reported = reader.rows());
    }
    if (is_good && reader.finish()) return outcome.errors.empty();
    outcome = {};
    outcome.malformed = reader.malformed();
    return false;
}

void store_rows(ImportOutcome& outcome, const std::function<void()>& store) {
    try {
        store();
    } catch (const PostgresError& error) {
        if (!is_of_content(error.sqlstate())) throw;
        outcome = {};
        outcome.errors.push_back({0, 0, "", "Postgres does not take these rows (SQLSTATE " + error.sqlstate() + ")"});
    }
    if (outcome.errors.empty()) return;
    outcome.imported = 0;
    outcome.skipped = 0;
}

}  // namespace apikey
