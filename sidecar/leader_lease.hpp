// Which apikeyd may write keys: a lease in Redis (apikey:leader, DESIGN §3.5), competed for, renewed and
// given back by a thread of its own with a connection of its own, so that a long database query cannot let it
// run out.
//
// A token is made anew for every acquisition and never used again. So whoever reads its own token back knows
// that it has been the leader without a break since it acquired it: a FLUSHALL, an expiry or another leader
// in between would have left another token or none. Losing it by any of these is final for that token, and so
// is losing the epoch that was set under it: the holder drops everything, gives back, and competes again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "core/redis/names.hpp"
#include "sidecar/event_fd.hpp"
#include "sidecar/log.hpp"
#include "sidecar/redis_client.hpp"

namespace apikey {

class LeaderLease {
  public:
    static constexpr std::chrono::milliseconds kLength{1000};
    static constexpr std::chrono::milliseconds kRenewEvery{250};
    static constexpr std::chrono::milliseconds kTryEvery{100};

    // Starts the thread; nothing is competed for until want().
    LeaderLease(RedisTarget target, const redis::Names& names);
    // Gives the lease back and joins.
    ~LeaderLease();
    LeaderLease(const LeaderLease&) = delete;
    LeaderLease& operator=(const LeaderLease&) = delete;

    // Compete for the lease until it is held or given back.
    void want();
    // The token while the lease is held, else empty.
    [[nodiscard]] std::string token() const;
    // Stop competing; delete the lease if it is ours. Waits until that is done or Redis' timeout has passed.
    void give_back();
    // From now on: lose the lease when apikey:epoch is no longer `value` (evicted, deleted by hand).
    void guard_epoch(std::string value);
    // Readable whenever what token() says has changed since clear().
    EventFd& changed() noexcept { return changed_; }

  private:
    enum class State : unsigned char { idle, wanted, held, lost };

    void run();
    void compete();
    bool acquire(RedisClient& redis, const std::string& token);
    void hold(RedisClient& redis, const std::string& token);
    bool renew(RedisClient& redis, const std::string& token);
    void remove(RedisClient& redis, const std::string& token);
    void lose();
    // Sleeps; true when the state is no longer `state`.
    bool state_leaves(State state, std::chrono::milliseconds most);
    [[nodiscard]] std::string guarded_epoch() const;

    RedisTarget target_;
    std::string leader_key_;
    std::string epoch_key_;
    QuietLog quiet_;
    EventFd changed_;

    mutable std::mutex mutex_;
    std::condition_variable state_changed_;
    State state_ = State::idle;
    bool working_ = false;  // the thread may still write to Redis
    bool end_ = false;
    std::string token_;
    std::string epoch_;  // empty: not guarded
    std::thread thread_;
};

// 128 random bits as hex. Throws std::runtime_error without randomness.
std::string random_token();

}  // namespace apikey
