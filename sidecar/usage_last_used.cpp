#include "sidecar/usage_last_used.hpp"

#include <algorithm>
#include <charconv>

#include "sidecar/weather.hpp"

namespace apikey {
namespace {

constexpr std::string_view kLockNotAvailable = "55P03";
constexpr std::string_view kDeadlock = "40P01";

std::string begin() {
    return "BEGIN; SET LOCAL lock_timeout = '" + std::to_string(UsageLastUsed::kLockTimeout.count()) +
           "ms'; SET LOCAL statement_timeout = '" + std::to_string(UsageLastUsed::kStatementTimeout.count()) + "s'; ";
}

// The keys of the batches that were applied last, each once, in the order of ids. None is in the future. date_part() is exact to
// the microsecond until the year 2255, and far cheaper than extract().
constexpr const char* kNewUses =
    "(SELECT key_id AS id, max(CASE WHEN last_used > now() + interval '5 minutes' THEN now() ELSE last_used END) AS "
    "last_used FROM pg_temp.apikey_key WHERE last_used > '-infinity' GROUP BY key_id ORDER BY key_id) AS n";
constexpr const char* kFetchNew = "SELECT id, (date_part('epoch', last_used) * 1000000)::bigint FROM ";

// Their rows, in the order of ids. The numbers are microseconds.
std::string some_uses(const auto& some) {
    std::string ids;
    std::string times;
    for (const auto& key : some) {
        ids += (ids.empty() ? "" : ",") + key->first;
        times += (times.empty() ? "" : ",") + std::to_string(key->second.used);
    }
    return "(SELECT id, 'epoch'::timestamptz + used * interval '1 microsecond' AS last_used FROM unnest('{" + ids +
           "}'::uuid[], '{" + times + "}'::bigint[]) AS n (id, used) ORDER BY id) AS n";
}

// The keys are looked up one by one, or merged, so that they are locked in their order.
constexpr const char* kMove = "SET LOCAL enable_hashjoin = off; UPDATE api_keys k SET last_used_at = n.last_used FROM ";
constexpr const char* kWhereOlder =
    " WHERE k.id = n.id AND (k.last_used_at IS NULL OR k.last_used_at < n.last_used); COMMIT";

// What is wrong with all of them, the table locked or a right missing, fails at the first statement. SQLERRM is the application's
// text, where a trigger of its raises.
constexpr const char* kMoveEach = R"(
CREATE TEMPORARY TABLE IF NOT EXISTS apikey_put_off (key_id uuid, sqlstate text, message text) ON COMMIT DELETE ROWS;
DO $each$
DECLARE
    n record;
BEGIN
    UPDATE api_keys SET last_used_at = NULL WHERE false;
    FOR n IN SELECT * FROM )";
constexpr const char* kMoveEachBody = R"( LOOP
        BEGIN
            PERFORM FROM api_keys k WHERE k.id = n.id AND (k.last_used_at IS NULL OR k.last_used_at < n.last_used)
                FOR NO KEY UPDATE NOWAIT;
            CONTINUE WHEN NOT FOUND;
            UPDATE api_keys k SET last_used_at = n.last_used WHERE k.id = n.id;
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO pg_temp.apikey_put_off
                VALUES (n.id, SQLSTATE, left(regexp_replace(SQLERRM, '[[:cntrl:]]', ' ', 'g'), 200));
        END;
    END LOOP;
END
$each$;
SELECT key_id, sqlstate, message FROM pg_temp.apikey_put_off; COMMIT)";

}  // namespace

// Nearly always nobody holds anything, and the keys need not come here.
void UsageLastUsed::move_new(Postgres& postgres) {
    if (waiting_.empty() && move_at_once(postgres)) return;
    fetch_new(postgres);
    move(postgres);
}

bool UsageLastUsed::move_at_once(Postgres& postgres) {
    try {
        postgres.execute(begin() + kMove + kNewUses + kWhereOlder);
        return true;
    } catch (const PostgresError& error) {
        if (error.sqlstate().empty()) throw;
        postgres.execute("ROLLBACK");
        return false;
    }
}

void UsageLastUsed::fetch_new(Postgres& postgres) {
    try {
        const PgResult uses = postgres.query((std::string(kFetchNew) + kNewUses).c_str());
        for (int i = 0; i < rows(uses); ++i) {
            const std::string_view text = cell(uses, i, 1);
            std::int64_t used = 0;
            std::from_chars(text.data(), text.data() + text.size(), used);
            const auto [key, is_new] = waiting_.try_emplace(std::string(cell(uses, i, 0)), Waiting{used, {}});
            if (!is_new) key->second.used = std::max(key->second.used, used);
        }
    } catch (const PostgresError& error) {
        if (error.sqlstate().empty()) throw;
        quiet_.warn(std::string("usage: last_used_at of keys is lost: ") + error.what());
    }
}

void UsageLastUsed::move(Postgres& postgres) {
    const auto now = Clock::now();  // what is put off meanwhile is not due then
    while (now >= table_due_) {
        const auto some = take_due(now);
        if (some.empty()) break;
        move_some(postgres, some);
    }
    forget_too_many();
}

void UsageLastUsed::move_all(Postgres& postgres) {
    for (auto& [id, key] : waiting_)
        key.due = {};
    table_due_ = {};
    move(postgres);
}

std::vector<UsageLastUsed::Keys::iterator> UsageLastUsed::take_due(Clock::time_point now) {
    std::vector<Keys::iterator> some;
    for (auto key = waiting_.begin(); key != waiting_.end() && some.size() < kMostAtOnce; ++key) {
        if (key->second.due <= now) some.push_back(key);
    }
    return some;
}

void UsageLastUsed::move_some(Postgres& postgres, const std::vector<Keys::iterator>& some) {
    try {
        postgres.execute(begin() + kMove + some_uses(some) + kWhereOlder);
        for (const auto& key : some)
            waiting_.erase(key);
        return;
    } catch (const PostgresError& error) {
        if (error.sqlstate().empty()) throw;
        postgres.execute("ROLLBACK");
    }
    try {
        move_each(postgres, some);
    } catch (const PostgresError& error) {
        if (error.sqlstate().empty()) throw;
        postgres.execute("ROLLBACK");
        table_due_ = Clock::now() + kTableAgain;
        quiet_.warn(std::string("usage: last_used_at of api_keys cannot be moved forward now, and waits; ") +
                    error.what());
    }
}

void UsageLastUsed::move_each(Postgres& postgres, const std::vector<Keys::iterator>& some) {
    const auto results = postgres.execute_with(begin() + kMoveEach + some_uses(some) + kMoveEachBody, {});
    const PgResult& put_off_rows = results.at(results.size() - 2);
    std::map<std::string, Keys::iterator> found;
    for (const auto& key : some)
        found.emplace(key->first, key);
    for (int i = 0; i < rows(put_off_rows); ++i) {
        const auto key = found.extract(std::string(cell(put_off_rows, i, 0)));
        if (!key.empty())
            put_off(key.mapped(), std::string(cell(put_off_rows, i, 1)), std::string(cell(put_off_rows, i, 2)));
    }
    for (const auto& [id, key] : found)
        waiting_.erase(key);
}

void UsageLastUsed::put_off(Keys::iterator key, const std::string& sqlstate, const std::string& message) {
    const bool is_held = sqlstate == kLockNotAvailable || sqlstate == kDeadlock;
    key->second.due = Clock::now() + (is_held ? kHeldAgain : kRefusedAgain);
    if (is_held) {
        quiet_.warn("usage: rows of api_keys are held by somebody; their last_used_at waits",
                    "usage: rows of api_keys are held by somebody, as that of the key " + key->first +
                        "; their last_used_at waits");
    } else {
        quiet_.warn("usage: last_used_at of keys is refused", "usage: last_used_at of the key " + key->first +
                                                                  " is refused, and waits: " + message + " (" +
                                                                  sqlstate + ")");
    }
}

void UsageLastUsed::forget_too_many() {
    if (waiting_.size() <= kMostWaiting) return;
    quiet_.warn("usage: more than " + std::to_string(kMostWaiting) +
                " keys wait for their last_used_at; what is more is forgotten");
    waiting_.erase(std::next(waiting_.begin(), kMostWaiting), waiting_.end());
}

}  // namespace apikey
