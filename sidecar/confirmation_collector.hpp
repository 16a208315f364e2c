// Collects the workers' confirmations for one term of the leader, tells the clients that wait, and logs what became of
// each change: the connections around confirmations.hpp, which decides.
//
// Confirmations arrive over a subscription of its own. When that breaks, those that came meanwhile are missed: it is
// made anew, and the workers are asked again by a "*". Until then nothing is in force that was not confirmed.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/change_log.hpp"
#include "sidecar/confirmations.hpp"
#include "sidecar/fenced_writer.hpp"
#include "sidecar/log.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/redis_client.hpp"
#include "sidecar/redis_subscriber.hpp"

namespace apikey {

class ConfirmationCollector {
  public:
    using Clock = std::chrono::steady_clock;
    // Of the subscription: the leader waits for it, so it must not be long.
    static constexpr std::chrono::milliseconds kConnectTimeout{500};
    static constexpr std::chrono::seconds kReconnectEvery{1};

    struct Parts {
        Postgres& postgres;
        FencedWriter& writer;
        QuietLog& quiet;
        std::function<void()> announce_any;  // publishes a "*"
    };
    // Subscribes. Throws RedisError, LeadershipLost.
    ConfirmationCollector(RedisTarget target, const redis::Names& names, Parts parts);

    // --- what the leader does ---
    void heard(Receipt receipt) { confirmations_.heard(receipt, Clock::now()); }
    void same_as_another(Receipt receipt) { confirmations_.same_as_another(receipt); }
    void published(const Confirmations::Batch& batch) { confirmations_.published(batch); }
    // Leases may go on whose holders Redis has forgotten: nothing is told until they have ended.
    void distrust_members();
    // All that was to be written is: from now on, what is in force may be told, once those leases have ended.
    void members_complete();
    [[nodiscard]] std::vector<Receipt> untold() const { return confirmations_.untold(); }

    // --- waiting ---
    [[nodiscard]] int descriptor();
    // When to call work() although nothing has come.
    [[nodiscard]] Clock::time_point next_event() const;
    // Takes what has come. True when a client is to be told. Asks neither Postgres nor the leader.
    bool take();
    // Takes what has come and does everything that is due. Throws PostgresError, RedisError, LeadershipLost.
    void work();
    // Reads the members, and forgets those whose lease ended long ago. Also a sign of life of Redis.
    void look_after_members();

  private:
    void subscribe();
    void tell();
    void log_outcomes(Clock::time_point now);

    RedisTarget target_;
    const redis::Names& names_;
    Parts parts_;
    Confirmations confirmations_;
    ChangeLog log_;
    std::optional<RedisSubscriber> subscriber_;
    Clock::time_point next_connect_;
    std::int64_t redis_now_ = 0;  // when the members were last looked after
    bool distrusting_ = false;
    bool members_complete_ = false;
    Clock::time_point trust_from_;
};

}  // namespace apikey
