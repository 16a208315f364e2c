#include "sidecar/user_transaction.hpp"

#include "core/json_string.hpp"

namespace apikey {
namespace {

// Whatever the role or the database has set. Rows that are read in order gain nothing from worker processes; sums may use what
// the server has of them. Pages are said to cost little, so that the planner goes by how many rows it must look at: for a user with a
// tenth of the table it would else read all of that in the order of time, to save itself from jumping about for his rows.
constexpr const char* kReadingRows =
    "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '4MB'; "
    "SET LOCAL enable_sort = off; SET LOCAL enable_hashagg = off; SET LOCAL enable_seqscan = off; "
    "SET LOCAL enable_bitmapscan = off; SET LOCAL random_page_cost = 0.1; SET LOCAL seq_page_cost = 0.1; ";
constexpr const char* kReadingSums = "SET LOCAL jit = off; SET LOCAL work_mem = '16MB'; ";

// Until when a standby has everything; nothing where the server is none. One that has replayed nothing since it was started has at
// least what its last checkpoint had.
Postgres::Parameter replayed_until(Postgres& postgres) {
    if (!postgres.may_be_standby()) return std::nullopt;
    const PgResult last = postgres.query("SELECT pg_last_xact_replay_timestamp() WHERE pg_is_in_recovery()");
    if (rows(last) == 0) return std::nullopt;
    if (!is_null(last, 0, 0)) return std::string(cell(last, 0, 0));
    return std::string(cell(postgres.query("SELECT checkpoint_time FROM pg_control_checkpoint()"), 0, 0));
}

}  // namespace

void become_user(Postgres& postgres, const std::string& user) {
    std::string claims = R"({"sub":)";
    append_json_string(claims, user);
    claims += '}';
    postgres.query("SELECT set_config('request.jwt.claims', $1, true)", {claims});
    postgres.execute("SET LOCAL ROLE apikey_user");
}

// The snapshot is taken by the first SELECT: in the same message as BEGIN, whose time is now(). How far a standby has come is asked
// before, since it goes on meanwhile.
UserSnapshot::UserSnapshot(Postgres& postgres, const std::string& user, std::chrono::seconds longest, Reading reading)
    : postgres_(postgres) {
    if (reading == Reading::rows) replayed_ = replayed_until(postgres);
    try {
        postgres_.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; " +
                          std::string(reading == Reading::rows ? kReadingRows : kReadingSums) +
                          "SET LOCAL statement_timeout = '" + std::to_string(longest.count()) + "s'; SELECT 1");
        become_user(postgres_, user);
        set("user", user);
    } catch (...) {
        roll_back();
        throw;
    }
}

UserSnapshot::~UserSnapshot() {
    if (open_) roll_back();
}

void UserSnapshot::roll_back() noexcept {
    if (postgres_.is_busy()) return postgres_.cancel();
    try {
        postgres_.execute("ROLLBACK");
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
        // The connection is gone, and with it the transaction.
    }
}

void UserSnapshot::set(const std::string& name, const std::string& value) {
    postgres_.query("SELECT set_config('apikey.' || $1, $2, true)", {name, value});
}

std::string UserSnapshot::time() {
    const PgResult result = postgres_.query("SELECT least(now(), $1::timestamptz)", {replayed_});
    return std::string(cell(result, 0, 0));
}

void UserSnapshot::end() {
    postgres_.execute("COMMIT");
    open_ = false;
}

}  // namespace apikey
