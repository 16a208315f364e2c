// The stream that carries usage from nginx to apikeyd, as XINFO shows it, judged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/reply.hpp"
#include "sidecar/doctor/findings.hpp"

namespace apikey::doctor {

// An entry that is older is stuck: apikeyd applies one within seconds, and takes over those of an apikeyd that died within 15.
inline constexpr std::int64_t kStuckAfterSeconds = 60;

struct Stream {
    std::int64_t length = 0;
    std::int64_t oldest = 0;  // when its first entry was made, Redis' unix ms; 0: it has none
    std::int64_t newest = 0;  // likewise its last
    std::string reason;       // the field `reason` of its last entry, which only what was refused has
};
// From the reply to XINFO STREAM.
Stream stream_of(const redis::ReplyView& reply);

struct Group {
    std::string name;
    std::int64_t consumers = 0;
    std::int64_t pending = 0;  // handed out and not acknowledged
};
// From the reply to XINFO GROUPS.
std::vector<Group> groups_of(const redis::ReplyView& reply);

struct Consumer {
    std::string name;
    std::int64_t pending = 0;  // handed out to it and not acknowledged
    std::int64_t idle = 0;     // ms since it last asked
};
// From the reply to XINFO CONSUMERS.
std::vector<Consumer> consumers_of(const redis::ReplyView& reply);

// An error reply that only says that there is no such stream.
bool says_absent(std::string_view error_text) noexcept;

// usage.stream; `stream` is nothing where there is none. `now` is Redis' clock.
void judge_stream(const std::string& name, const std::optional<Stream>& stream, std::int64_t now, Findings& findings);
// usage.group, of a stream that exists.
void judge_groups(const std::string& name, const std::vector<Group>& groups, Findings& findings);
// usage.dead: what Postgres refused.
void judge_dead(const std::string& name, const std::optional<Stream>& stream, std::int64_t now, Findings& findings);

}  // namespace apikey::doctor
