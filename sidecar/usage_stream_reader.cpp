#include "sidecar/usage_stream_reader.hpp"

#include <algorithm>

#include "sidecar/doctor/usage_stream.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using doctor::kUsageGroup;

constexpr std::size_t kMostPending = 1000;

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

// EXEC's nil (nothing watches here) or an error of one of its commands is no success.
void must_be_done(const redis::ReplyView& reply) {
    must_succeed(reply);
    if (reply.is(redis::ReplyType::array)) reply.for_each([](const redis::ReplyView& each) { must_succeed(each); });
}

}  // namespace

UsageStreamReader::UsageStreamReader(RedisClient& redis, const redis::Names& names, std::string consumer)
    : redis_(redis), names_(names), consumer_(std::move(consumer)) {}

bool UsageStreamReader::make_group() {
    bool made = false;
    redis_.send({"XGROUP", "CREATE", names_.usage, kUsageGroup, "0", "MKSTREAM"});
    redis_.exchange([&made](std::size_t, const redis::ReplyView& reply) {
        made = !reply.is(redis::ReplyType::error);
        // A full Redis answers so before it looks whether there is one; it must be possible to empty it.
        const std::string_view code = made ? "" : redis::error_code(reply.text());
        if (!made && code != "BUSYGROUP" && code != "OOM") must_succeed(reply);
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
    std::vector<std::string_view> acknowledge = {"XACK", names_.usage, kUsageGroup};
    std::vector<std::string_view> remove = {"XDEL", names_.usage};
    acknowledge.insert(acknowledge.end(), ids.begin(), ids.end());
    remove.insert(remove.end(), ids.begin(), ids.end());
    redis_.send({"MULTI"});
    redis_.send(acknowledge);
    redis_.send(remove);
    redis_.send({"EXEC"});
    redis_.exchange([](std::size_t, const redis::ReplyView& reply) { must_be_done(reply); });
}

bool UsageStreamReader::bury(const UsageEntry& entry, const std::string& reason) {
    std::uint64_t length = 0;
    redis_.send({"XLEN", names_.usage_dead});
    redis_.exchange([&length](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        length = static_cast<std::uint64_t>(reply.integer());
    });
    if (length >= kMostDead) {
        acknowledge({entry.id});
        return false;
    }
    std::vector<std::string_view> add = {"XADD", names_.usage_dead, "*", "reason", reason, "entry", entry.id};
    for (const auto& [name, value] : entry.fields)
        add.insert(add.end(), {name, value});
    redis_.send({"MULTI"});
    redis_.send(add);
    redis_.send({"XACK", names_.usage, kUsageGroup, entry.id});
    redis_.send({"XDEL", names_.usage, entry.id});
    redis_.send({"EXEC"});
    redis_.exchange([](std::size_t, const redis::ReplyView& reply) { must_be_done(reply); });
    return true;
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
