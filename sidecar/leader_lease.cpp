#include "sidecar/leader_lease.hpp"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "core/redis/backoff.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using redis::ReplyType;
using std::chrono::milliseconds;

// Shorter than the lease: a renewal that takes longer has failed.
constexpr milliseconds kTimeout{700};
constexpr milliseconds kGiveBackTimeout{1500};

// SET needs memory. On a full Redis (7 or newer) a script may still take it: without a leader no revocation
// would get through, and revocations are what must work when Redis is full.
constexpr std::string_view kSetWhenFull =
    "#!lua flags=allow-oom\n"
    "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])";

// Scripts, not MULTI: a full Redis refuses every command inside MULTI. KEYS: the leader's key, the epoch's.
// ARGV: our token, the length of the lease, the epoch that must stand or nothing. Gives 1, or why not. pcall: an epoch that is
// no text is an error to GET.
constexpr std::string_view kRenew =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "if ARGV[3] ~= '' and redis.pcall('GET', KEYS[2]) ~= ARGV[3] then return -1 end "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])";
constexpr std::string_view kRemove =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "return redis.call('DEL', KEYS[1])";
constexpr std::int64_t kRenewed = 1;
constexpr std::int64_t kEpochGone = -1;

// The integer that a command gives.
std::int64_t number(RedisClient& redis, std::initializer_list<std::string_view> command) {
    std::int64_t value = 0;
    redis.send(command);
    redis.exchange([&](std::size_t, const redis::ReplyView& reply) {
        must_succeed(reply);
        value = reply.integer();
    });
    return value;
}

}  // namespace

std::string random_token() {
    std::array<unsigned char, 16> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
        throw std::runtime_error("the system has no random numbers");
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string token;
    for (const unsigned char byte : bytes) {
        token += kHex[byte >> 4U];
        token += kHex[byte & 15U];
    }
    return token;
}

LeaderLease::LeaderLease(RedisTarget target, const redis::Names& names)
    : target_(std::move(target)), leader_key_(names.leader), epoch_key_(names.epoch) {
    target_.timeout = kTimeout;
    thread_ = std::thread([this] { run(); });
}

LeaderLease::~LeaderLease() {
    {
        const std::lock_guard lock(mutex_);
        state_ = State::idle;
        end_ = true;
    }
    state_changed_.notify_all();
    thread_.join();
}

void LeaderLease::want() {
    {
        const std::lock_guard lock(mutex_);
        state_ = State::wanted;
        epoch_.clear();
    }
    state_changed_.notify_all();
}

std::string LeaderLease::token() const {
    const std::lock_guard lock(mutex_);
    return state_ == State::held ? token_ : "";
}

void LeaderLease::give_back() {
    std::unique_lock lock(mutex_);
    state_ = State::idle;
    state_changed_.notify_all();
    state_changed_.wait_for(lock, kGiveBackTimeout, [this] { return !working_; });
}

void LeaderLease::guard_epoch(std::string value) {
    const std::lock_guard lock(mutex_);
    epoch_ = std::move(value);
}

void LeaderLease::run() {
    redis::Backoff backoff(std::hash<std::string>{}(random_token()));
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            state_changed_.wait(lock, [this] { return state_ == State::wanted || end_; });
            if (end_) return;
            working_ = true;
        }
        try {
            compete();
            backoff.reset();
        } catch (const std::exception& error) {
            quiet_.warn("cannot hold the leader's lease: " + std::string(error.what()));
            lose();
        }
        {
            const std::lock_guard lock(mutex_);
            working_ = false;
        }
        state_changed_.notify_all();
        state_leaves(State::wanted, milliseconds(backoff.next_ms()));
    }
}

void LeaderLease::compete() {
    RedisClient redis(target_);
    const std::string token = random_token();
    for (bool first = true; !acquire(redis, token); first = false) {
        if (first) spdlog::info("another apikeyd leads; standing by");
        if (state_leaves(State::wanted, kTryEvery)) return;
    }
    bool still_wanted = false;
    {
        const std::lock_guard lock(mutex_);
        still_wanted = state_ == State::wanted;
        if (still_wanted) {
            state_ = State::held;
            token_ = token;
        }
    }
    if (still_wanted) {
        changed_.set();
        hold(redis, token);
    }
    remove(redis, token);
}

bool LeaderLease::acquire(RedisClient& redis, const std::string& token) {
    const std::string length = std::to_string(kLength.count());
    std::string refusal;
    bool acquired = false;
    const auto read = [&](std::size_t, const redis::ReplyView& reply) {
        refusal = reply.is(ReplyType::error) ? reply.text() : "";
        acquired = reply.is(ReplyType::status);
    };
    redis.send({"SET", leader_key_, token, "NX", "PX", length});
    redis.exchange(read);
    if (redis::error_code(refusal) == "OOM") {
        const std::string full = refusal;
        redis.send({"EVAL", kSetWhenFull, "1", leader_key_, token, length});
        redis.exchange(read);
        if (!refusal.empty()) refusal = full;
    }
    if (!refusal.empty()) throw RedisError(explain(refusal));
    return acquired;
}

void LeaderLease::hold(RedisClient& redis, const std::string& token) {
    while (!state_leaves(State::held, kRenewEvery)) {
        if (renew(redis, token)) continue;
        lose();
        return;
    }
}

bool LeaderLease::renew(RedisClient& redis, const std::string& token) {
    const std::string length = std::to_string(kLength.count());
    const std::string epoch = guarded_epoch();
    const std::int64_t outcome = number(redis, {"EVAL", kRenew, "2", leader_key_, epoch_key_, token, length, epoch});
    if (outcome == kRenewed) return true;
    spdlog::warn(outcome == kEpochGone
                     ? "Redis lost the epoch (is its maxmemory-policy noeviction?); beginning again"
                     : "the leader's lease was lost (Redis flushed, or this process was stopped); beginning again");
    return false;
}

void LeaderLease::remove(RedisClient& redis, const std::string& token) {
    number(redis, {"EVAL", kRemove, "1", leader_key_, token});
}

void LeaderLease::lose() {
    {
        const std::lock_guard lock(mutex_);
        if (state_ != State::held) return;
        state_ = State::lost;
        token_.clear();
    }
    changed_.set();
}

bool LeaderLease::state_leaves(State state, milliseconds most) {
    std::unique_lock lock(mutex_);
    return state_changed_.wait_for(lock, most, [&] { return state_ != state; });
}

std::string LeaderLease::guarded_epoch() const {
    const std::lock_guard lock(mutex_);
    return epoch_;
}

}  // namespace apikey
