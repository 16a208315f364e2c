// Since when, and until when, one worker may take cached verdicts for true without asking Redis (change.hpp).
//
//   subscription:  SUBSCRIBE ok ──── PING ─▶ answer ──── PING ─▶ answer           it has heard all of [since, PING sent]
//   registration:        ZADD ─▶ ok          ZADD ─▶ ok                           whoever publishes waits for it
//   lease:                                   from a PING that was sent after a registration had been acknowledged
//
// A change is in force once every member has confirmed it or is a member no more. A lease that rests on a PING sent before
// the change was published ends before the membership of the registration before that PING; one that rests on a later
// PING has the change applied, because the answer came behind it. Either way no cached verdict of before outlives the
// moment at which the change is said to be in force.
//
// Times are monotonic milliseconds. What is sent is told with a time that is not after it, what has come with one that
// is not before it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/coverage.hpp"
#include "core/redis/change.hpp"
#include "core/redis/millis.hpp"
#include "core/redis/subscription_session.hpp"

namespace apikey::redis {

class Watch {
  public:
    // covers() is asked with a clock that is up to 10 ms slow: a lease ends so much before the membership.
    static constexpr Millis kSlack = 20;

    // Everything that is published from `since` on is heard and applied.
    void subscribed(Millis since) noexcept;
    // Nothing is heard any more: the lease ends at once.
    void unsubscribed() noexcept;

    // The registration that was sent at `sent` is acknowledged; PINGs after number `last_ping` are yet to be sent.
    void registered(Millis sent, std::uint64_t last_ping);
    // There is no registration on which another lease could rest: it was ended, or its connection is lost.
    void unregistered() noexcept { registrations_.clear(); }

    // The PING is answered, and what was heard before its answer is applied. Once per PING, or more often.
    void answered(const SubscriptionSession::Ping& ping) noexcept;

    // What the zone is told, while subscribed; add() gives what trusts_since() is told.
    [[nodiscard]] Interval claim() const noexcept { return claim_; }
    void trusts_since(Millis since) noexcept { claim_.since = since; }

    // The lease holds until then, and covers what was true after trusted_since(). No lease: 0.
    [[nodiscard]] Millis lease_until() const noexcept { return lease_until_; }
    [[nodiscard]] Millis trusted_since() const noexcept { return claim_.since; }
    // May a verdict that was asked for at `validated_at` be used at `now` (at most kSlack before the clock's time)?
    [[nodiscard]] bool covers(Millis validated_at, Millis now) const noexcept {
        return now < lease_until_ && validated_at > claim_.since;
    }

  private:
    struct Registration {
        Millis sent;
        std::uint64_t last_ping;
    };

    bool subscribed_ = false;
    Interval claim_;
    Millis lease_until_ = 0;
    std::vector<Registration> registrations_;  // acknowledged; the first is the one before the last answered PING
};

}  // namespace apikey::redis
