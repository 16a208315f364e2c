#include "sidecar/usage_retention.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/decimal.hpp"
#include "core/iso_time.hpp"
#include "sidecar/duration.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Of one key with what migrate takes, so that nobody else's number is hit by chance.
constexpr const char* kTakeTurn = "SELECT pg_try_advisory_xact_lock(27428947188608357)";

// How long to wait after a round that failed.
constexpr std::chrono::seconds kTryAgainAfter{5};

// Rows whose whole bucket lies before what is to be kept. By the younger of two clocks: one that has jumped ahead would
// delete what is to be kept.
constexpr const char* kHorizon =
    "SELECT to_char(least(now(), $1::timestamptz) - make_interval(secs => $2::double precision), "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

// The array is made first, once; a row that was changed between its two parts has another ctid, and waits for the next batch.
constexpr const char* kDelete =
    "DELETE FROM usage_records WHERE ctid = ANY (ARRAY("
    "SELECT ctid FROM usage_records WHERE bucket < $1::timestamptz ORDER BY bucket LIMIT $2::int "
    "FOR UPDATE SKIP LOCKED))";

}  // namespace

void UsageRetention::run() {
    if (settings_.usage_keep.count() == 0) return;
    while (!stop_.is_set())
        rest(try_round() ? milliseconds(kEvery) : milliseconds(kTryAgainAfter));
}

// False: it failed, and what is left of it is to be tried again.
bool UsageRetention::try_round() {
    try {
        one_round();
        return true;
    } catch (const Stopped&) {
        spdlog::debug("usage retention: stopping");
    } catch (const SchemaMismatch&) {
        throw;
    } catch (const std::exception& weather) {
        quiet_.warn(std::string("usage retention: ") + weather.what() + "; trying again");
    }
    return false;
}

void UsageRetention::one_round() {
    Postgres::Options options;
    options.stop = &stop_;
    Postgres postgres(settings_.postgres, options);
    require_schema(postgres);
    const std::string oldest_kept = horizon(postgres);
    const auto began = Clock::now();
    deleted_ = 0;
    Batch batch = Batch::deleted;
    for (;;) {
        const auto batch_began = Clock::now();
        batch = delete_batch(postgres, oldest_kept);
        if (batch != Batch::deleted || stop_.is_set()) break;
        rest(std::max(kShortestRest, std::chrono::ceil<milliseconds>(Clock::now() - batch_began)));
    }
    const char* why = batch == Batch::not_my_turn ? "; another apikeyd goes on" : "";
    const std::string line =
        fmt::format("usage retention: {} row{} from before {} deleted in {:.1f} s (usage.keep {}){}", deleted_,
                    deleted_ == 1 ? "" : "s", oldest_kept, std::chrono::duration<double>(Clock::now() - began).count(),
                    format_duration(settings_.usage_keep), why);
    spdlog::log(deleted_ > 0 ? spdlog::level::info : spdlog::level::debug, line);
}

// Rows with an earlier bucket are deleted. A row speaks of all requests up to the end of its bucket.
std::string UsageRetention::horizon(Postgres& postgres) const {
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const auto age = settings_.usage_keep + settings_.usage_bucket;
    return std::string(cell(postgres.query(kHorizon, {format_iso_time(now), std::to_string(age.count())}), 0, 0));
}

UsageRetention::Batch UsageRetention::delete_batch(Postgres& postgres, const std::string& horizon) {
    Transaction transaction(postgres);
    if (cell(postgres.query(kTakeTurn), 0, 0) != "t") return Batch::not_my_turn;
    const PgResult result = postgres.query(kDelete, {horizon, std::to_string(kBatchRows)});
    const auto count = static_cast<std::int64_t>(parse_decimal(PQcmdTuples(result.get())).value_or(0));
    transaction.commit();
    deleted_ += count;
    return count > 0 ? Batch::deleted : Batch::nothing_left;
}

void UsageRetention::rest(milliseconds most) const {
    wait_readable({stop_.fd()}, most);
}

}  // namespace apikey
