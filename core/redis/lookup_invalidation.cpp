// The worker's part in invalidation on the connection for lookups: its registration and its confirmations (change.hpp).
#include <algorithm>

#include "core/redis/lookup_session.hpp"

namespace apikey::redis {

namespace {

constexpr std::size_t kMostUnconfirmed = 256;  // confirmations sent and not answered
constexpr Millis kMostHoldOff = 16'000;
constexpr const char* kOtherKind = "Redis sent a reply of another kind";

}  // namespace

void LookupSession::forget_invalidation() {
    registration_ = {};
    clock_offset_.reset();
    registered_.reset();
    unconfirmed_.clear();
}

void LookupSession::renew_registration(Millis now) {
    if (!ready_ || options_.worker.empty() || registration_.under_way || now < hold_off_until_) return;
    begin_to_owe(now);
    send_check_if_due(now);
    registration_ = {.sent = now, .under_way = true};
    if (clock_offset_) {
        const std::string lease_ends = std::to_string(now + *clock_offset_ + kRegistration);
        send(Expect::registration, {"ZADD", workers_key_, lease_ends, options_.worker});
    }
    send(Expect::redis_time, {"TIME"});
}

void LookupSession::end_registration(Millis now) {
    registration_.ended = true;
    registered_.reset();
    if (!ready_ || options_.worker.empty()) return;
    begin_to_owe(now);
    send(Expect::deregistration, {"ZREM", workers_key_, options_.worker});
}

bool LookupSession::confirm(Receipt receipt, std::int64_t heard_at, Millis now) {
    if (!ready_ || options_.worker.empty() || unconfirmed_.size() >= kMostUnconfirmed || now < hold_off_until_)
        return false;
    begin_to_owe(now);
    send(Expect::confirmation, {"PUBLISH", applied_channel_, format_confirmation(options_.worker, receipt)});
    unconfirmed_.push_back(heard_at);
    return true;
}

// Redis is silent. One that pauses writing answers everything but these, and the lookups behind them.
void LookupSession::hold_off_if_blamed(Millis now) {
    if (!registration_.under_way && unconfirmed_.empty() && shipping_.empty()) return;
    hold_off_until_ = now + hold_off_;
    hold_off_ = std::min(2 * hold_off_, kMostHoldOff);
}

bool LookupSession::take_invalidation(Expect what, const ReplyView& reply, Millis now) {
    const bool refused = reply.is(ReplyType::error);
    if (what == Expect::redis_time && !refused) return take_time(reply, now);
    if (!refused && !reply.is(ReplyType::integer)) return fail(kOtherKind);
    if (what == Expect::registration) registration_.taken = !refused;
    if (what == Expect::redis_time) registration_.under_way = false;
    if (what == Expect::confirmation) {
        if (!refused) confirmed_.push_back(unconfirmed_.front());
        unconfirmed_.pop_front();
    }
    return !refused || take_refusal(what, reply.text());
}

// TIME follows ZADD because its reply is of another form: a reply that was repeated, or belongs to another command,
// cannot pass for the acknowledgement.
bool LookupSession::take_time(const ReplyView& reply, Millis now) {
    const auto micros = micros_of_time(reply);
    if (!micros) return fail(kOtherKind);
    const Millis redis_now = *micros / 1000 + 1;  // rounded up, so that the lease that is told is none too short
    const bool was_known = clock_offset_.has_value();
    clock_offset_ = redis_now - registration_.sent;
    registration_.under_way = false;
    if (registration_.ended) return true;
    if (registration_.taken) {
        registered_ = registration_.sent;
        hold_off_ = kFirstHoldOff;
    }
    if (!was_known) renew_registration(now);
    return true;
}

bool LookupSession::take_refusal(Expect what, std::string_view text) {
    ++(what == Expect::confirmation ? notice_.refused_confirmations : notice_.refused_registrations);
    notice_.refusal = error_code(text);
    return true;
}

}  // namespace apikey::redis
