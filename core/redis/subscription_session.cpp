#include "core/redis/subscription_session.hpp"

#include <algorithm>

#include "core/redis/command.hpp"
#include "core/redis/handshake.hpp"

namespace apikey::redis {

namespace {

// The longest reply is that to INFO; a message that is longer than it is no change, and none that we shall read.
constexpr ReplyReader::Limits kLimits{.unparsed_bytes = 8192, .reply_bytes = 8192, .reply_nodes = 8};
constexpr std::size_t kSlice = 4096;         // bytes given to the parser at once
constexpr std::size_t kMostUnanswered = 16;  // PINGs
constexpr const char* kOtherKind = "Redis sent a reply of another kind";

bool is_string(const ReplyView& reply, std::string_view text) {
    return reply.is(ReplyType::string) && reply.text() == text;
}

}  // namespace

SubscriptionSession::SubscriptionSession(Options options)
    : options_(std::move(options)), channel_(Names(options_.prefix).changed), reader_(kLimits) {
    unanswered_.reserve(kMostUnanswered);
}

void SubscriptionSession::connected(Millis now) {
    reader_.reset();
    output_.clear();
    written_ = 0;
    run_id_.clear();
    answered_ = {};
    unanswered_.clear();
    changes_.clear();
    why_.clear();
    began_ = now;
    const auto auth = auth_command(options_.user, options_.password);
    if (!auth.empty()) append_command(output_, auth);
    append_command(output_, {"INFO", "server"});
    append_command(output_, {"SUBSCRIBE", channel_});
    stage_ = auth.empty() ? Stage::server_info : Stage::auth;
}

bool SubscriptionSession::fail(std::string why) {
    why_ = std::move(why);
    stage_ = Stage::closed;
    return false;
}

// --- bytes -----------------------------------------------------------------------------------------------------

void SubscriptionSession::written(std::size_t count) {
    written_ += count;
    if (written_ < output_.size()) return;
    output_.clear();
    written_ = 0;
}

bool SubscriptionSession::feed(std::string_view bytes, Millis now) {
    if (stage_ == Stage::closed) return false;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kSlice))) {
        reader_.feed(bytes.substr(0, kSlice));
        for (ReplyView reply;;) {
            const ReplyReader::Next next = reader_.next(&reply);
            if (next == ReplyReader::Next::failed) return fail("Redis sent " + reader_.failure());
            if (next == ReplyReader::Next::need_bytes) break;
            if (!take(reply, now)) return false;
        }
    }
    return true;
}

bool SubscriptionSession::take(const ReplyView& reply, Millis now) {
    if (reply.is(ReplyType::error)) return take_error(reply.text());
    switch (stage_) {
        case Stage::closed: return false;
        case Stage::auth: stage_ = Stage::server_info; return reply.is(ReplyType::status) || fail(kOtherKind);
        case Stage::server_info:
            stage_ = Stage::subscribe;
            run_id_ = run_id_of(reply);
            return !run_id_.empty() || fail("Redis' INFO names no run_id");
        case Stage::subscribe:
            stage_ = Stage::subscribed;
            since_ = now;
            next_ping_ = began_;  // at once
            return (reply.size() == 3 && is_string(reply[0], "subscribe") && is_string(reply[1], channel_)) ||
                   fail(kOtherKind);
        case Stage::subscribed: return take_push(reply);
    }
    return false;
}

bool SubscriptionSession::take_error(std::string_view text) {
    switch (stage_) {
        case Stage::auth: return fail("Redis refused the user or password: " + plain_words(text));
        case Stage::server_info: return fail("Redis refused INFO: " + plain_words(text));
        case Stage::subscribe: return fail("Redis refused SUBSCRIBE: " + plain_words(text));
        case Stage::closed:
        case Stage::subscribed: break;
    }
    return fail("Redis refused PING: " + plain_words(text));
}

bool SubscriptionSession::take_push(const ReplyView& reply) {
    if (reply.size() == 3 && is_string(reply[0], "message")) {
        take_message(reply);
        return true;
    }
    return (reply.size() == 2 && is_string(reply[0], "pong") && take_pong(reply[1])) || fail(kOtherKind);
}

void SubscriptionSession::take_message(const ReplyView& reply) {
    const bool is_ours = is_string(reply[1], channel_) && reply[2].is(ReplyType::string);
    if (const auto change = is_ours ? parse_change(reply[2].text()) : std::nullopt) {
        changes_.push_back(*change);
    } else {
        ++malformed_;
    }
}

bool SubscriptionSession::take_pong(const ReplyView& reply) {
    if (unanswered_.empty() || !is_string(reply, std::to_string(unanswered_.front().number))) return false;
    answered_ = unanswered_.front();
    unanswered_.erase(unanswered_.begin());
    return true;
}

// --- time ------------------------------------------------------------------------------------------------------

void SubscriptionSession::ping(Millis now) {
    if (!subscribed()) return;
    next_ping_ = now + kPingEvery;
    if (unanswered_.size() >= kMostUnanswered) return;
    unanswered_.push_back({++last_ping_, now});
    append_command(output_, {"PING", std::to_string(last_ping_)});
}

bool SubscriptionSession::tick(Millis now) {
    if (stage_ == Stage::closed) return true;
    const Millis owed_since = !subscribed() ? began_ : unanswered_.empty() ? now : unanswered_.front().sent;
    if (now - owed_since >= kLease) return fail("Redis does not answer");
    if (subscribed() && now >= next_ping_) ping(now);
    return true;
}

Millis SubscriptionSession::next_tick() const noexcept {
    if (!subscribed()) return began_ + kLease;
    return unanswered_.empty() ? next_ping_ : std::min(next_ping_, unanswered_.front().sent + kLease);
}

}  // namespace apikey::redis
