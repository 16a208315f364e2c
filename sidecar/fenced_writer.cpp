#include "sidecar/fenced_writer.hpp"

#include <utility>

#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using redis::ReplyType;
using Clock = Membership::Clock;

// Renewals come four times a second: two in a row are a coincidence, ten are not.
constexpr int kMostAttempts = 10;

// Both without a "#!lua" line, so that any version of Redis takes them, full or not; what may be refused stands first.
// KEYS: the leader's key, the workers', what to delete. ARGV: our token, the channel, what to publish.
constexpr std::string_view kRemove =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "local read = {redis.call('TIME'), redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')} "
    "for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end "
    "for i = 3, #ARGV do redis.call('PUBLISH', ARGV[2], ARGV[i]) end "
    "return read";
// KEYS: the leader's key, the workers'. ARGV: our token, what the clock said earlier, for how long a member is kept. The
// earlier of two times counts: a clock that jumps must not take away members that are alive. Gives whether it was no
// sorted set, too.
constexpr std::string_view kReadWorkers =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "local time = redis.call('TIME') "
    "local ended = math.min(time[1] * 1000, ARGV[2]) - ARGV[3] "
    "local pruned = redis.pcall('ZREMRANGEBYSCORE', KEYS[2], '-inf', ended) "
    "local broken = type(pruned) == 'table' and string.find(pruned.err, 'WRONGTYPE', 1, true) "
    "if broken then redis.call('DEL', KEYS[2]) end "
    "return {time, redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), broken and 1 or 0}";

constexpr const char* kNotOurs = "another apikeyd leads, or Redis was flushed";

bool says_full(std::string_view error_text) {
    return error_text.find("OOM") != std::string_view::npos;
}

}  // namespace

FencedWriter::Outcome FencedWriter::write(const std::function<void(RedisClient&)>& fill, const Messages& messages,
                                          Membership& workers) {
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
        if (!watching_) {
            send_watch();
            redis_.exchange([this](std::size_t, const redis::ReplyView& reply) {
                must_succeed(reply);
                leader_ = reply.text();
            });
        }
        if (leader_ != token_) throw LeadershipLost(kNotOurs);
        switch (execute(fill, messages, workers)) {
            case Exec::done: return Outcome::written;
            case Exec::full: return Outcome::full;
            case Exec::interrupted: break;
        }
    }
    throw LeadershipLost("the leader's lease changes all the time");
}

Membership FencedWriter::remove(const std::vector<std::string>& keys, const Messages& messages) {
    const std::string key_count = std::to_string(keys.size() + 2);
    std::vector<std::string_view> command = {"EVAL", kRemove, key_count, names_.leader, names_.workers};
    command.insert(command.end(), keys.begin(), keys.end());
    command.insert(command.end(), {token_, names_.changed});
    command.insert(command.end(), messages.begin(), messages.end());
    return run_script(command);
}

Membership FencedWriter::read_workers(std::int64_t earlier) {
    const std::string clock = std::to_string(earlier);
    const std::string keep = std::to_string(std::chrono::milliseconds(kRemember).count());
    const std::vector<std::string_view> command = {"EVAL",         kReadWorkers, "2",   names_.leader,
                                                   names_.workers, token_,       clock, keep};
    return run_script(command);
}

Membership FencedWriter::run_script(std::span<const std::string_view> command) {
    const auto asked = Clock::now();
    Membership workers;
    redis_.send(command);
    redis_.exchange([&](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        if (reply.size() < 2) throw LeadershipLost(kNotOurs);
        workers = membership_of(reply[0], reply[1]);
        workers.was_broken = reply.size() > 2 && reply[2].integer() != 0;
    });
    workers.asked = asked;
    workers.received = Clock::now();
    return workers;
}

void FencedWriter::send_watch() {
    redis_.send({"WATCH", names_.leader});
    redis_.send({"GET", names_.leader});
}

FencedWriter::Exec FencedWriter::execute(const std::function<void(RedisClient&)>& fill, const Messages& messages,
                                         Membership& workers) {
    std::string first_error;
    ReplyType outcome = ReplyType::nil;
    const auto asked = Clock::now();
    redis_.send({"MULTI"});
    fill(redis_);
    for (const std::string& message : messages)
        redis_.send({"PUBLISH", names_.changed, message});
    if (!messages.empty()) {
        redis_.send({"TIME"});
        redis_.send({"ZRANGE", names_.workers, "0", "-1", "WITHSCORES"});
    }
    redis_.send({"EXEC"});
    const std::size_t exec = redis_.queued() - 1;
    send_watch();
    watching_ = false;
    redis_.exchange([&](std::size_t nth, const redis::ReplyView& reply) {
        if (reply.is(ReplyType::error) && first_error.empty()) first_error = reply.text();
        if (nth > exec) leader_ = reply.text();
        if (nth != exec) return;
        outcome = reply.type();
        redis::ReplyView time;
        redis::ReplyView members;
        reply.for_each([&](const redis::ReplyView& element) {
            if (element.is(ReplyType::error) && first_error.empty()) first_error = element.text();
            time = std::exchange(members, element);
        });
        const bool executed = outcome == ReplyType::array && first_error.empty();
        if (executed && !messages.empty()) workers = membership_of(time, members);
    });
    watching_ = true;
    workers.asked = asked;
    workers.received = Clock::now();
    if (says_full(first_error)) return Exec::full;
    if (!first_error.empty()) throw RedisError(explain(first_error));
    return outcome == ReplyType::nil ? Exec::interrupted : Exec::done;
}

}  // namespace apikey
