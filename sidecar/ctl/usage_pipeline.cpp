// apikeyctl usage --pipeline: what is on its way from nginx to Postgres.
#include "sidecar/usage_pipeline.hpp"

#include <algorithm>
#include <iostream>

#include "core/iso_time.hpp"
#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/output.hpp"

namespace apikey {
namespace {

using Json = nlohmann::ordered_json;
using doctor::Finding;
using doctor::Stream;

std::string time_text(std::int64_t unix_ms) {
    return format_iso_time(Instant(std::chrono::seconds(unix_ms / 1000)));
}

Json time_or_null(std::int64_t unix_ms) {
    return unix_ms > 0 ? Json(time_text(unix_ms)) : Json(nullptr);
}

Json json_of(const Stream& stream, std::int64_t now) {
    Json json = {{"length", stream.length}, {"oldest", time_or_null(stream.oldest)}, {"oldestSeconds", nullptr}};
    if (stream.oldest > 0) json["oldestSeconds"] = std::max<std::int64_t>(now - stream.oldest, 0) / 1000;
    return json;
}

Json stream_json(const UsagePipeline& pipeline) {
    return pipeline.redis.stream ? json_of(*pipeline.redis.stream, pipeline.now) : Json(nullptr);
}

Json dead_json(const UsagePipeline& pipeline) {
    if (!pipeline.redis.dead) return nullptr;
    Json json = json_of(*pipeline.redis.dead, pipeline.now);
    json["newest"] = time_or_null(pipeline.redis.dead->newest);
    json["newestReason"] = pipeline.redis.dead->reason;
    return json;
}

Json spool_json(const UsagePipeline& pipeline) {
    if (!pipeline.spool) return nullptr;
    return {{"files", pipeline.spool->files},
            {"bytes", pipeline.spool->bytes},
            {"oldest", time_or_null(pipeline.spool->oldest * 1000)},
            {"otherFiles", pipeline.spool->others}};
}

void print_as_json(const UsagePipeline& pipeline, bool stuck) {
    Json consumers = Json::array();
    for (const doctor::Consumer& consumer : pipeline.redis.consumers)
        consumers.push_back({{"name", consumer.name}, {"pending", consumer.pending}, {"idleMs", consumer.idle}});
    Json slots = Json::array();
    for (const UsageSource& source : pipeline.sources) {
        slots.push_back({{"zone", source.zone},
                         {"slot", source.slot},
                         {"appliedUpTo", source.highest},
                         {"missing", source.missing}});
    }
    print_json({{"success", !stuck},
                {"verdict", verdict_of(pipeline.findings)},
                {"stream", stream_json(pipeline)},
                {"consumers", consumers},
                {"dead", dead_json(pipeline)},
                {"slotCount", pipeline.source_count},
                {"slots", slots},
                {"spool", spool_json(pipeline)},
                {"findings", to_json(pipeline.findings)}});
}

void print_consumers(const UsagePipeline& pipeline) {
    if (pipeline.redis.consumers.empty()) return;
    std::vector<TextLine> lines = {{"CONSUMER", "PENDING", "IDLE"}};
    for (const doctor::Consumer& consumer : pipeline.redis.consumers) {
        lines.push_back(
            {printable(consumer.name), std::to_string(consumer.pending), std::to_string(consumer.idle / 1000) + " s"});
    }
    print_lines(lines, 1);
    std::cout << "\n";
}

void print_sources(const UsagePipeline& pipeline) {
    if (pipeline.sources.empty()) return;
    std::vector<TextLine> lines = {{"ZONE", "SLOT", "APPLIED UP TO", "MISSING"}};
    for (const UsageSource& source : pipeline.sources) {
        lines.push_back({source.zone, std::to_string(source.slot),
                         source.highest < 0 ? "-" : std::to_string(source.highest), std::to_string(source.missing)});
    }
    print_lines(lines, 1);
    const auto shown = static_cast<std::int64_t>(pipeline.sources.size());
    if (shown < pipeline.source_count) std::cout << shown << " of " << pipeline.source_count << " slots shown\n";
    std::cout << "\n";
}

}  // namespace

void run_usage_pipeline(const Arguments& arguments) {
    const UsagePipeline pipeline = look_at_usage_pipeline(settings_of(arguments), arguments.usage.spool);
    const bool stuck = pipeline.findings.count(doctor::Level::error) > 0;
    if (arguments.json) {
        print_as_json(pipeline, stuck);
    } else {
        print_consumers(pipeline);
        print_sources(pipeline);
        print_findings(pipeline.findings);
        if (pipeline.redis.dead && !pipeline.redis.dead->reason.empty())
            std::cout << "refused last: " << printable(pipeline.redis.dead->reason) << "\n";
        std::cout << verdict_of(pipeline.findings) << "\n";
    }
    if (stuck) throw Refusal{"", kFailed};  // all is said
}

}  // namespace apikey
