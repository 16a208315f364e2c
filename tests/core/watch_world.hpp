// The world around Watch, Coverage and ChangeIntake: one Redis with a leader that changes keys and waits for
// confirmations, one zone of shared memory, and what is needed to say when an answer out of it was wrong. Time is counted
// in quarters of a millisecond, so that rounding matters. See watch_model_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "core/coverage.hpp"
#include "core/redis/change_intake.hpp"
#include "core/redis/watch.hpp"

namespace apikey::test {

using redis::Millis;
using redis::Receipt;
using Time = std::int64_t;  // quarters of a ms
using WorkerId = int;
using Version = int;
inline constexpr int kWatchedKeys = 3;
inline constexpr int kAllKeys = -1;

// What a worker has said to Redis and what it was answered, in one connection's order.
struct ToRedis {
    enum class What : std::uint8_t { subscribe, ping, lookup, register_worker, deregister, confirm } what;
    std::uint64_t number = 0;  // PING's, or the receipt
    int key = 0;
    Millis sent = 0;
    Millis score = 0;
    std::uint32_t ticket = 0, generation = 0;
};
struct FromRedis {
    enum class What : std::uint8_t { subscribed, pong, change, facts, registered } what;
    ToRedis asked{};
    int key = 0;
    Receipt receipt = redis::kNobodyWaits;
    Version version = 0;
    Millis redis_now = 0;  // rounded up
};

struct SharedZone {
    struct Entry {
        Version version = 0;
        Millis validated_at = 0;
        std::uint32_t generation = 0;
    };
    SharedZone() { std::memset(static_cast<void*>(&coverage), 0, sizeof coverage); }

    void forget(int key) {
        ++changes.at(key);
        entries.at(key).reset();
    }

    Coverage coverage;
    std::array<std::optional<Entry>, kWatchedKeys> entries;
    std::array<std::uint32_t, kWatchedKeys> changes{};
    std::uint32_t generation = 0;
};

// Redis, and the leader's work in it: one change is one atomic step.
class Publisher {
  public:
    explicit Publisher(Millis clock_offset) : offset_(clock_offset) {}

    // The subscribers' ends of their connections.
    std::map<WorkerId, std::deque<FromRedis>*> subscribers;

    [[nodiscard]] Version version(int key) const { return history_.at(key).back().second; }
    // Before the moment `then`.
    [[nodiscard]] Version version_at(int key, Time then) const {
        Version version = 0;
        for (const auto& [at, what] : history_.at(key))
            if (at < then) version = what;
        return version;
    }
    [[nodiscard]] Version in_force(int key) const { return in_force_.at(key); }
    [[nodiscard]] Millis now(Time time) const { return time / 4 + offset_; }

    void change(int key, Time time) {
        Waiting waiting{{}, {}};
        for (int each = 0; each < kWatchedKeys; ++each) {
            if (key != kAllKeys && key != each) continue;
            history_.at(each).emplace_back(time, version(each) + 1);
            while (history_.at(each).size() > 1000)
                history_.at(each).pop_front();
            waiting.versions.emplace_back(each, version(each));
        }
        for (const auto& [worker, score] : members_)
            if (score > now(time)) waiting.members.emplace(worker, score);
        const Receipt receipt = ++last_receipt_;
        for (const auto& [worker, connection] : subscribers)
            connection->push_back({FromRedis::What::change, {}, key, receipt, 0, 0});
        waiting_.emplace(receipt, std::move(waiting));
        settle(time);
    }
    void set_member(WorkerId worker, Millis score) { members_[worker] = score; }
    void remove_member(WorkerId worker) { members_.erase(worker); }
    void confirmed(WorkerId worker, Receipt receipt, Time time) {
        const auto it = waiting_.find(receipt);
        if (it != waiting_.end()) it->second.members.erase(worker);
        settle(time);
    }
    // What is in force now: all its members have confirmed or have ended.
    void settle(Time time) {
        for (auto it = waiting_.begin(); it != waiting_.end();) {
            std::erase_if(it->second.members, [&](const auto& member) { return member.second <= now(time); });
            if (!it->second.members.empty()) {
                ++it;
                continue;
            }
            for (const auto& [key, version] : it->second.versions)
                in_force_.at(key) = std::max(in_force_.at(key), version);
            it = waiting_.erase(it);
        }
    }

  private:
    struct Waiting {
        std::vector<std::pair<int, Version>> versions;
        std::map<WorkerId, Millis> members;
    };

    const Millis offset_;
    std::array<std::deque<std::pair<Time, Version>>, kWatchedKeys> history_{
        {{{Time{0}, 1}}, {{Time{0}, 1}}, {{Time{0}, 1}}}};
    std::array<Version, kWatchedKeys> in_force_{};
    std::map<WorkerId, Millis> members_;
    std::map<Receipt, Waiting> waiting_;
    Receipt last_receipt_ = 0;
};

}  // namespace apikey::test
