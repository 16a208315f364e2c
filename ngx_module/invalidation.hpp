// Keeps the key cache true: this worker's subscription to changes, what it does about them, and the lease under which
// cached answers are used without asking (core/redis/change.hpp, core/redis/watch.hpp).
//
//   message ─▶ ChangeIntake ─▶ the zone forgets the key ─▶ confirmation, on the connection for lookups
//   answer to a PING ─▶ Watch ─▶ the lease, and the zone's coverage
//
// Without the lease nothing breaks: what is cached is looked up before it is used. So no fault in here is more than a line
// in the log, and nothing in here makes a stopping worker wait.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/redis/change_intake.hpp"
#include "core/redis/subscription_session.hpp"
#include "core/redis/watch.hpp"
#include "ngx_module/clock.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/fault_log.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/redis_link.hpp"
#include "ngx_module/redis_socket.hpp"
#include "ngx_module/worker_event.hpp"

namespace apikey::ngx {

class Invalidation final : private RedisSocket::Owner, private RedisLink::Listener {
  public:
    // Copies what it needs of the configuration; `link` and `zone` outlive it. Throws std::bad_alloc.
    Invalidation(const RedisConf& conf, const std::string& prefix, RedisLink& link, KeyZone& zone);
    ~Invalidation();
    Invalidation(const Invalidation&) = delete;
    Invalidation& operator=(const Invalidation&) = delete;

    // Begins to connect.
    void start() { socket_.connect(); }
    // The worker exits: no event will come any more. Says so to Redis, and hands over what it has watched to the workers
    // that stay; takes as long as Redis needs for one answer, but not longer than kFarewell.
    void stop();

    // Has every change since `validated_at` (ms) been heard of, so that what was true then and is still in the cache may
    // be used?
    [[nodiscard]] bool watched_since(redis::Millis validated_at) const noexcept {
        return zone_.coverage().redis() == redis_ && watch_.covers(validated_at, now_ms());
    }
    // Are this worker's answers from the Redis that the zone is about? Others must not get into the cache. Under the
    // zone's lock.
    [[nodiscard]] bool asks_redis_of_zone() const noexcept { return is_adopted_ && zone_.coverage().redis() == redis_; }

  private:
    static constexpr ngx_msec_t kFarewell = 100;

    friend class WorkerEvent<Invalidation>;
    // RedisSocket::Owner
    void on_up() override;
    std::string_view output() override { return session_.output(); }
    void written(std::size_t count) override { session_.written(count); }
    void on_flushed() override { arm_timer(); }
    bool take(std::string_view bytes) override;
    [[nodiscard]] std::string why() const override { return session_.why(); }
    void on_read() override;
    void on_down(RedisSocket::Retry retry, const std::string& why) override;
    // RedisLink::Listener
    void on_link_read() override;
    void on_link_down() override;

    void on_time();
    void on_exception() noexcept { socket_.on_exception(); }
    void arm_timer();
    void came_up();
    [[nodiscard]] bool same_redis() const { return !link_.run_id().empty() && link_.run_id() == session_.run_id(); }
    [[nodiscard]] bool may_register() const { return is_up_ && same_redis() && farewell_ping_ == 0; }

    void adopt_redis();
    void settle();
    void renew_lease();
    void tell_zone();
    void confirm();
    void register_worker();
    void leave();

    RedisLink& link_;
    KeyZone& zone_;
    redis::SubscriptionSession session_;
    redis::ChangeIntake intake_;
    redis::Watch watch_;
    FaultLog faults_;
    std::vector<redis::Change> changes_;  // scratch
    bool is_up_ = false;                  // subscribed, and everything knows it
    std::uint64_t claimed_ping_ = 0;      // the zone knows of this answer
    bool is_adopted_ = false;             // the zone knows of the Redis that this connection for lookups asks
    std::uint64_t redis_ = 0;             // the number of the one that it knows of, see Coverage; 0: none yet
    redis::Millis redis_since_ = 0;
    redis::Millis next_registration_ = 0;
    std::uint64_t farewell_ping_ = 0;  // the worker is stopping: after its answer the subscription ends
    RedisSocket socket_;
    WorkerEvent<Invalidation> timer_;
};

}  // namespace apikey::ngx
