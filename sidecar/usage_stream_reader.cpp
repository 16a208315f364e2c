#include "sidecar/usage_stream_reader.hpp"

#include <algorithm>

#include "core/redis/names.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using redis::kUsageGroup;

constexpr std::size_t kMostPending = 1000;

// A full Redis refuses a transaction with MULTI whatever is in it. A script it lets run, and once the script has written
// something that takes no memory, it is let finish. So what empties Redis is a script, and what needs a little memory to do so
// acknowledges no entry at first.

// KEYS: stream. ARGV: group. 1: made.
constexpr std::string_view kMakeGroup = R"(
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups.err then
  for _, group in ipairs(groups) do if group[2] == ARGV[1] then return 0 end end
end
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return 1)";

// KEYS: stream. ARGV: group, ids.
constexpr std::string_view kAcknowledge = R"(
for i = 2, #ARGV, 1000 do
  local last = math.min(i + 999, #ARGV)
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, i, last))
  redis.call('XDEL', KEYS[1], unpack(ARGV, i, last))
end)";

// KEYS: stream, dead stream. ARGV: group, id, most entries of the dead stream, and what is added to it. 0: it is full. Whatever
// is wrong with the dead stream shows before the entry is touched.
constexpr std::string_view kBury = R"(
local has_room = redis.call('XLEN', KEYS[2]) < tonumber(ARGV[3])
if has_room then
  redis.call('XACK', KEYS[1], ARGV[1], '0-0')
  redis.call('XADD', KEYS[2], '*', unpack(ARGV, 4))
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return has_room and 1 or 0)";

// KEYS: stream. ARGV: id, most bytes. The entry; its size where that is more; nil where there is none.
constexpr std::string_view kFetch = R"(
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return false end
local size = 0
for _, text in ipairs(found[1][2]) do size = size + #text end
if size > tonumber(ARGV[2]) then return size end
return found[1])";

// KEYS: stream. Without its fields, which may be large.
constexpr std::string_view kFirstId = R"(
local found = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
return found[1] and found[1][1])";

// KEYS: stream. ARGV: group, least idle ms, name of a consumer or nothing. Within a script, so that nobody is handed an entry
// between the look and the deletion, which would take the entry with it.
constexpr std::string_view kForget = R"(
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local fact = {}
  for i = 1, #consumer, 2 do fact[consumer[i]] = consumer[i + 1] end
  if fact.pending == 0 and fact.idle >= tonumber(ARGV[2]) and (ARGV[3] == '' or ARGV[3] == fact.name) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], fact.name)
  end
end)";

UsageEntry entry_of(const redis::ReplyView& reply) {
    UsageEntry entry;
    if (reply.size() < 2) return entry;
    entry.id = reply[0].text();
    reply[1].for_each([&entry, is_value = false](const redis::ReplyView& text) mutable {
        if (is_value) {
            entry.fields.back().second = text.text();
        } else {
            entry.fields.emplace_back(text.text(), "");
        }
        is_value = !is_value;
    });
    return entry;
}

}  // namespace

UsageStreamReader::UsageStreamReader(RedisClient& redis, const redis::Names& names, std::string consumer)
    : redis_(redis), names_(names), consumer_(std::move(consumer)) {}

bool UsageStreamReader::make_group() {
    bool made = false;
    redis_.send({"EVAL", kMakeGroup, "1", names_.usage, kUsageGroup});
    redis_.exchange([this, &made](std::size_t, const redis::ReplyView& reply) {
        const bool is_error = reply.is(redis::ReplyType::error);
        const std::string_view code = is_error ? redis::error_code(reply.text()) : "";
        if (code == "BUSYGROUP") return;
        if (code == "OOM") {
            throw RedisError("Redis is full (OOM), and the consumer group of " + names_.usage +
                             " cannot be made: raise maxmemory, what is in the stream is applied then");
        }
        must_succeed(reply);
        made = reply.integer() == 1;
    });
    return made;
}

std::string UsageStreamReader::first_id() {
    return redis_.text({"EVAL", kFirstId, "1", names_.usage});
}

std::vector<UsageEntry> UsageStreamReader::read_new() {
    std::vector<UsageEntry> entries;
    redis_.send({"XREADGROUP", "GROUP", kUsageGroup, consumer_, "COUNT", std::to_string(kReadAtOnce), "STREAMS",
                 names_.usage, ">"});
    redis_.exchange([&entries](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        if (reply.size() == 0 || reply[0].size() < 2) return;
        reply[0][1].for_each([&entries](const redis::ReplyView& entry) { entries.push_back(entry_of(entry)); });
    });
    return entries;
}

UsageStreamReader::Claimed UsageStreamReader::claim() {
    Claimed claimed;
    const std::string idle = std::to_string(kClaimAfter.count());
    redis_.send({"XAUTOCLAIM", names_.usage, kUsageGroup, consumer_, idle, "0", "COUNT", std::to_string(kMostPending),
                 "JUSTID"});
    redis_.exchange([&claimed](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        if (reply.size() < 2) return;
        claimed.count = reply[1].size();
        // Redis 6.2 has no third element; there fetch() finds them.
        if (reply.size() < 3) return;
        reply[2].for_each([&claimed](const redis::ReplyView& id) { claimed.gone.emplace_back(id.text()); });
    });
    return claimed;
}

std::vector<std::string> UsageStreamReader::pending() {
    std::vector<std::string> ids;
    redis_.send({"XPENDING", names_.usage, kUsageGroup, "-", "+", std::to_string(kMostPending), consumer_});
    redis_.exchange([&ids](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        reply.for_each([&ids](const redis::ReplyView& each) {
            if (each.size() > 0) ids.emplace_back(each[0].text());
        });
    });
    return ids;
}

UsageStreamReader::Fetched UsageStreamReader::fetch(const std::vector<std::string>& ids, std::size_t begin) {
    Fetched fetched;
    const std::size_t end = std::min(begin + kReadAtOnce, ids.size());
    const std::string most = std::to_string(kMostEntryBytes);
    for (std::size_t i = begin; i < end; ++i)
        redis_.send({"EVAL", kFetch, "1", names_.usage, ids[i], most});
    redis_.exchange([&](std::size_t nth, const redis::ReplyView& reply) {
        must_succeed(reply);
        const std::string& id = ids[begin + nth];
        if (reply.is(redis::ReplyType::integer)) {
            fetched.too_large.push_back({id, {{"bytes", std::to_string(reply.integer())}}});
        } else if (reply.is(redis::ReplyType::array)) {
            fetched.entries.push_back(entry_of(reply));
        } else {
            fetched.gone.push_back(id);
        }
    });
    return fetched;
}

void UsageStreamReader::acknowledge(const std::vector<std::string>& ids) {
    if (ids.empty()) return;
    std::vector<std::string_view> acknowledge = {"EVAL", kAcknowledge, "1", names_.usage, kUsageGroup};
    acknowledge.insert(acknowledge.end(), ids.begin(), ids.end());
    redis_.send(acknowledge);
    redis_.exchange([](std::size_t, const redis::ReplyView& reply) { must_succeed(reply); });
}

UsageStreamReader::Burial UsageStreamReader::bury(const UsageEntry& entry, const std::string& reason) {
    const std::string most = std::to_string(kMostDead);
    const std::string bytes = std::to_string(entry.bytes());
    std::vector<std::string_view> bury = {"EVAL",   kBury, "2",      names_.usage, names_.usage_dead, kUsageGroup,
                                          entry.id, most,  "reason", reason,       "entry",           entry.id};
    if (entry.bytes() > kMostDeadBytes || entry.fields.size() > kMostDeadFields) {
        bury.insert(bury.end(), {"bytes", bytes});
    } else {
        for (const auto& [name, value] : entry.fields)
            bury.insert(bury.end(), {name, value});
    }
    redis_.send(bury);
    Burial burial;
    redis_.exchange([&burial](std::size_t, const redis::ReplyView& reply) {
        if (reply.is(redis::ReplyType::error)) {
            burial = {Burial::Outcome::refused, explain(reply.text())};
        } else {
            burial.outcome = reply.integer() == 1 ? Burial::Outcome::buried : Burial::Outcome::dropped;
        }
    });
    return burial;
}

void UsageStreamReader::forget_dead_consumers() {
    forget_consumers(kForgetAfter, "");
}

void UsageStreamReader::leave() {
    forget_consumers(std::chrono::milliseconds(0), consumer_);
}

void UsageStreamReader::forget_consumers(std::chrono::milliseconds idle, const std::string& name) {
    redis_.text({"EVAL", kForget, "1", names_.usage, kUsageGroup, std::to_string(idle.count()), name});
}

}  // namespace apikey
