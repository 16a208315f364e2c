#include "sidecar/fenced_writer.hpp"

#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using redis::ReplyType;

// Renewals come four times a second: two in a row are a coincidence, ten are not.
constexpr int kMostAttempts = 10;

// KEYS: the leader's key, what to delete. ARGV: our token, the channel, what to publish. Without a "#!lua" line, so
// that any version of Redis takes it, full or not.
constexpr std::string_view kRemove =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end "
    "for i = 3, #ARGV do redis.call('PUBLISH', ARGV[2], ARGV[i]) end "
    "return 1";

bool says_full(std::string_view error_text) {
    return error_text.find("OOM") != std::string_view::npos;
}

}  // namespace

FencedWriter::Outcome FencedWriter::write(const std::function<void(RedisClient&)>& fill) {
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
        if (!watching_) {
            send_watch();
            redis_.exchange([this](std::size_t, const redis::ReplyView& reply) {
                must_succeed(reply);
                leader_ = reply.text();
            });
        }
        if (leader_ != token_) throw LeadershipLost("another apikeyd leads, or Redis was flushed");
        switch (execute(fill)) {
            case Exec::done: return Outcome::written;
            case Exec::full: return Outcome::full;
            case Exec::interrupted: break;
        }
    }
    throw LeadershipLost("the leader's lease changes all the time");
}

void FencedWriter::remove(const std::vector<std::string>& keys, const std::string& channel,
                          const std::vector<std::string>& messages) {
    const std::string key_count = std::to_string(keys.size() + 1);
    std::vector<std::string_view> command = {"EVAL", kRemove, key_count, leader_key_};
    command.insert(command.end(), keys.begin(), keys.end());
    command.insert(command.end(), {token_, channel});
    command.insert(command.end(), messages.begin(), messages.end());
    std::int64_t done = 0;
    redis_.send(command);
    redis_.exchange([&](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        done = reply.integer();
    });
    if (done != 1) throw LeadershipLost("another apikeyd leads, or Redis was flushed");
}

void FencedWriter::send_watch() {
    redis_.send({"WATCH", leader_key_});
    redis_.send({"GET", leader_key_});
}

FencedWriter::Exec FencedWriter::execute(const std::function<void(RedisClient&)>& fill) {
    std::string first_error;
    ReplyType outcome = ReplyType::nil;
    redis_.send({"MULTI"});
    fill(redis_);
    redis_.send({"EXEC"});
    const std::size_t exec = redis_.queued() - 1;
    send_watch();
    watching_ = false;
    redis_.exchange([&](std::size_t nth, const redis::ReplyView& reply) {
        if (reply.is(ReplyType::error) && first_error.empty()) first_error = reply.text();
        if (nth == exec) outcome = reply.type();
        if (nth > exec) leader_ = reply.text();
        for (std::size_t i = 0; nth == exec && i < reply.size(); ++i) {
            if (reply[i].is(ReplyType::error) && first_error.empty()) first_error = reply[i].text();
        }
    });
    watching_ = true;
    if (says_full(first_error)) return Exec::full;
    if (!first_error.empty()) throw RedisError(explain(first_error));
    return outcome == ReplyType::nil ? Exec::interrupted : Exec::done;
}

}  // namespace apikey
