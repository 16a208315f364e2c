#include "sidecar/usage_pipeline.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>

#include "sidecar/doctor/clocks.hpp"
#include "sidecar/membership.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using doctor::Findings;

// Batches are numbered from 0, so what is missing below the highest is its number + 1 without what is applied.
constexpr const char* kSources =
    "SELECT replace(zone::text, '-', ''), slot, coalesce(upper(applied) - 1, -1), coalesce(upper(applied) - "
    "(SELECT sum(upper(part) - lower(part)) FROM unnest(applied) AS part), 0) AS missing, count(*) OVER () "
    "FROM usage_sources ORDER BY missing DESC, 3 DESC, zone, slot LIMIT $1::int";

std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string counted(std::int64_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::int64_t own_millis() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void look_at_redis(const Settings& settings, UsagePipeline& pipeline) {
    try {
        RedisClient client(redis_target(settings));
        doctor::RedisQuestions redis(client, settings, pipeline.findings);
        redis.ask({"TIME"}, [&](const redis::ReplyView& reply) { pipeline.now = redis_millis(reply); });
        pipeline.redis = check_usage(redis, redis::Names(settings.redis_prefix), pipeline.now, pipeline.findings);
    } catch (const std::exception& error) {  // also what Asio throws
        pipeline.findings.error("usage.redis", std::string(error.what()) + ": no usage gets through",
                                "nginx keeps usage until Redis is back; `apikeyctl doctor` tells more");
    }
}

void look_at_postgres(const Settings& settings, UsagePipeline& pipeline) {
    try {
        Postgres::Options options;
        options.application = "apikeyctl usage";
        Postgres postgres(settings.postgres, options);
        require_schema(postgres);
        const PgResult result = postgres.query(kSources, {std::to_string(UsagePipeline::kMostSources)});
        for (int row = 0; row < rows(result); ++row) {
            pipeline.sources.push_back({std::string(cell(result, row, 0)), number(cell(result, row, 1)),
                                        number(cell(result, row, 2)), number(cell(result, row, 3))});
            pipeline.source_count = number(cell(result, row, 4));
        }
        const auto& stream = pipeline.redis.stream;
        judge_sources(pipeline.sources, pipeline.source_count, stream ? stream->length : 0, pipeline.findings);
    } catch (const SchemaMismatch& mismatch) {
        pipeline.findings.error("usage.postgres", mismatch.what_is_wrong(), mismatch.advice());
    } catch (const PostgresError& error) {
        pipeline.findings.error("usage.postgres", std::string(error.what()) + ": no usage is applied",
                                "usage waits in Redis until Postgres is back; `apikeyctl doctor` tells more");
    }
}

void look_at_spool(const std::string& directory, UsagePipeline& pipeline) {
    const auto spool = look_into_spool(directory);
    if (!spool) {
        return pipeline.findings.error("usage.spool", spool.error(),
                                       "is it api_key_spool of nginx.conf, and may this user read it?");
    }
    pipeline.spool = *spool;
    judge_spool(*spool, directory, own_millis() / 1000, pipeline.findings);
}

}  // namespace

UsagePipeline look_at_usage_pipeline(const Settings& settings, const std::string& spool) {
    UsagePipeline pipeline;
    pipeline.now = own_millis();
    look_at_redis(settings, pipeline);
    look_at_postgres(settings, pipeline);
    if (!spool.empty()) look_at_spool(spool, pipeline);
    return pipeline;
}

void judge_sources(const std::vector<UsageSource>& sources, std::int64_t source_count, std::int64_t waiting,
                   Findings& findings) {
    const std::string slots = counted(source_count, "slot has", "slots have");
    std::int64_t missing = 0;
    for (const UsageSource& source : sources)
        missing += source.missing;
    if (missing == 0) return findings.ok("usage.slots", slots + " been heard of, without holes");
    const std::string what = counted(missing, "batch is", "batches are") + " missing below a later one that is applied";
    if (waiting > 0) return findings.ok("usage.slots", what + ", and may be among those in the stream");
    // A note: what was lost with a Redis is missing for ever.
    findings.note("usage.slots", what,
                  "it is in nginx's spool (--spool), was refused (usage.dead), or was lost with Redis; nginx' log says "
                  "what it lost");
}

void judge_spool(const UsageSpool& spool, const std::string& directory, std::int64_t now, Findings& findings) {
    const std::string others =
        spool.others > 0
            ? " (and " + counted(static_cast<std::int64_t>(spool.others), "other file", "other files") + ")"
            : "";
    if (spool.files == 0) return findings.ok("usage.spool", directory + " has no batches" + others);
    const std::int64_t age = std::max<std::int64_t>(now - spool.oldest, 0);
    const std::string what = directory + " has " + counted(static_cast<std::int64_t>(spool.files), "batch", "batches") +
                             ", the oldest of " + std::to_string(age) + " s ago" + others;
    if (age <= doctor::kStuckAfterSeconds) return findings.ok("usage.spool", what);
    findings.warning("usage.spool", what,
                     "nginx ships it when it runs with this api_key_spool; is it running, and may it read the files?");
}

std::string verdict_of(const Findings& findings) {
    const auto stuck = static_cast<std::int64_t>(findings.count(doctor::Level::error));
    if (stuck == 0) return "nothing is stuck";
    return "usage is stuck: see the " + std::string(stuck == 1 ? "error" : "errors") + " above";
}

}  // namespace apikey
