#include "sidecar/doctor/usage_stream.hpp"

#include <algorithm>
#include <charconv>

#include "core/redis/names.hpp"

namespace apikey::doctor {
namespace {

// XINFO answers with names and values in turn.
template <class Visit>
void for_each_field(const redis::ReplyView& reply, Visit visit) {
    std::string_view name;
    bool is_value = false;
    reply.for_each([&](const redis::ReplyView& element) {
        if (is_value) {
            visit(name, element);
        } else {
            name = element.text();
        }
        is_value = !is_value;
    });
}

// An entry's id is the unix millisecond in which it was made, a "-", and a number.
std::int64_t millis_of(std::string_view id) {
    std::int64_t millis = 0;
    std::from_chars(id.data(), id.data() + id.size(), millis);
    return millis;
}

std::string counted(std::int64_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::int64_t age_in_seconds(const Stream& stream, std::int64_t now) {
    return stream.oldest > 0 ? std::max<std::int64_t>(now - stream.oldest, 0) / 1000 : 0;
}

std::string entries(const Stream& stream, std::int64_t now) {
    std::string text = counted(stream.length, "entry", "entries");
    if (stream.oldest > 0) {
        text += ", the oldest of " + std::to_string(age_in_seconds(stream, now)) + " s ago";
    }
    return text;
}

}  // namespace

Stream stream_of(const redis::ReplyView& reply) {
    Stream stream;
    for_each_field(reply, [&](std::string_view name, const redis::ReplyView& value) {
        if (name == "length") stream.length = value.integer();
        if (name == "first-entry" && value.size() > 0) stream.oldest = millis_of(value[0].text());
        if (name == "last-entry" && value.size() > 1) {
            stream.newest = millis_of(value[0].text());
            for_each_field(value[1], [&](std::string_view field, const redis::ReplyView& text) {
                if (field == "reason") stream.reason = text.text();
            });
        }
    });
    return stream;
}

std::vector<Group> groups_of(const redis::ReplyView& reply) {
    std::vector<Group> groups;
    reply.for_each([&](const redis::ReplyView& element) {
        Group& group = groups.emplace_back();
        for_each_field(element, [&](std::string_view name, const redis::ReplyView& value) {
            if (name == "name") group.name = value.text();
            if (name == "consumers") group.consumers = value.integer();
            if (name == "pending") group.pending = value.integer();
        });
    });
    return groups;
}

std::vector<Consumer> consumers_of(const redis::ReplyView& reply) {
    std::vector<Consumer> consumers;
    reply.for_each([&](const redis::ReplyView& element) {
        Consumer& consumer = consumers.emplace_back();
        for_each_field(element, [&](std::string_view name, const redis::ReplyView& value) {
            if (name == "name") consumer.name = value.text();
            if (name == "pending") consumer.pending = value.integer();
            if (name == "idle") consumer.idle = value.integer();
        });
    });
    return consumers;
}

bool says_absent(std::string_view error_text) noexcept {
    return error_text.starts_with("ERR no such key");
}

void judge_stream(const std::string& name, const std::optional<Stream>& stream, std::int64_t now, Findings& findings) {
    if (!stream) return findings.ok("usage.stream", "there is no " + name + ": no usage was shipped yet");
    const std::string what = name + " has " + entries(*stream, now);
    if (age_in_seconds(*stream, now) <= kStuckAfterSeconds) return findings.ok("usage.stream", what);
    findings.error("usage.stream", what + ": it is not applied",
                   "is apikeyd running, and does Postgres answer? Its log says what it waits for; "
                   "`apikeyctl usage --pipeline` tells more. Nothing is lost meanwhile");
}

void judge_groups(const std::string& name, const std::vector<Group>& groups, Findings& findings) {
    const auto group =
        std::find_if(groups.begin(), groups.end(), [](const Group& g) { return g.name == redis::kUsageGroup; });
    if (group != groups.end()) {
        return findings.ok("usage.group", counted(group->pending, "entry is", "entries are") +
                                              " handed out and not applied yet, to " +
                                              counted(group->consumers, "consumer", "consumers"));
    }
    const std::string ours(redis::kUsageGroup);
    findings.error(
        "usage.group", name + " has no consumer group " + ours + ": nobody applies its usage",
        "XGROUP CREATE " + name + " " + ours + " 0 in redis-cli: from the first entry on, nothing is skipped");
}

void judge_dead(const std::string& name, const std::optional<Stream>& stream, std::int64_t now, Findings& findings) {
    if (!stream || stream->length == 0) return findings.ok("usage.dead", "no usage was refused by Postgres");
    findings.warning("usage.dead", "Postgres refused usage for its content: " + name + " has " + entries(*stream, now),
                     "XRANGE " + name + " - + COUNT 10 in redis-cli shows why; DEL " + name + " when it is dealt with");
}

}  // namespace apikey::doctor
