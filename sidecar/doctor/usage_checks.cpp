#include "sidecar/doctor/usage_checks.hpp"

#include <string>

namespace apikey::doctor {
namespace {

// False: it could not be read, which is a finding then.
bool read_stream(RedisQuestions& redis, const char* check, const std::string& name, std::optional<Stream>& stream) {
    const auto refused =
        redis.ask({"XINFO", "STREAM", name}, [&](const redis::ReplyView& reply) { stream = stream_of(reply); });
    if (!refused || says_absent(*refused)) return true;
    redis.refuse(check, "xinfo", *refused);
    return false;
}

void check_group(RedisQuestions& redis, const std::string& name, Findings& findings, std::vector<Consumer>& consumers) {
    std::vector<Group> groups;
    if (!redis.ask_for("usage.group", "xinfo", {"XINFO", "GROUPS", name},
                       [&](const redis::ReplyView& reply) { groups = groups_of(reply); })) {
        return;
    }
    judge_groups(name, groups, findings);
    // Refused where there is no group of ours, which is said.
    redis.ask({"XINFO", "CONSUMERS", name, redis::kUsageGroup},
              [&](const redis::ReplyView& reply) { consumers = consumers_of(reply); });
}

}  // namespace

UsageInRedis check_usage(RedisQuestions& redis, const redis::Names& names, std::int64_t now, Findings& findings) {
    UsageInRedis usage;
    if (!read_stream(redis, "usage.stream", names.usage, usage.stream)) return usage;
    judge_stream(names.usage, usage.stream, now, findings);
    if (usage.stream) check_group(redis, names.usage, findings, usage.consumers);
    if (read_stream(redis, "usage.dead", names.usage_dead, usage.dead))
        judge_dead(names.usage_dead, usage.dead, now, findings);
    return usage;
}

}  // namespace apikey::doctor
