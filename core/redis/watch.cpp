#include "core/redis/watch.hpp"

#include <algorithm>

namespace apikey::redis {

namespace {

constexpr std::size_t kMostRegistrations = 16;  // without an answer to a PING: by then the connection has failed

}  // namespace

void Watch::subscribed(Millis since) noexcept {
    subscribed_ = true;
    claim_ = {since, since - 1};
    lease_until_ = 0;
}

void Watch::unsubscribed() noexcept {
    subscribed_ = false;
    claim_ = {};
    lease_until_ = 0;
    registrations_.clear();
}

void Watch::registered(Millis sent, std::uint64_t last_ping) {
    if (!subscribed_) return;
    if (registrations_.size() == kMostRegistrations) registrations_.erase(registrations_.begin());
    registrations_.push_back({sent, last_ping});
}

void Watch::answered(const SubscriptionSession::Ping& ping) noexcept {
    if (!subscribed_ || ping.number == 0) return;
    claim_.until = std::max(claim_.until, ping.sent);
    const auto after = std::find_if(registrations_.begin(), registrations_.end(),
                                    [&](const auto& r) { return r.last_ping >= ping.number; });
    if (after == registrations_.begin()) return;
    registrations_.erase(registrations_.begin(), after - 1);
    const Millis membership_ends = registrations_.front().sent + kRegistration;
    lease_until_ = std::max(lease_until_, std::min(ping.sent + kLease, membership_ends - kSlack));
}

}  // namespace apikey::redis
