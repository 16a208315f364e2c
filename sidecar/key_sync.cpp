#include "sidecar/key_sync.hpp"

#include <spdlog/spdlog.h>

#include "core/redis/backoff.hpp"
#include "sidecar/leader_term.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// A term that lasted this long was a good one: after it the first retry comes quickly again.
constexpr std::chrono::seconds kGoodTerm{2};

}  // namespace

KeySync::KeySync(const Settings& settings, const EventFd& stop)
    : settings_(settings),
      stop_(stop),
      redis_target_(redis_target(settings)),
      names_(settings.redis_prefix),
      lease_(redis_target_, names_) {}

void KeySync::run() {
    redis::Backoff backoff(new_receipt());
    while (!stop_.is_set()) {
        const auto began = Clock::now();
        try {
            one_term();
        } catch (const Stopped&) {
            spdlog::debug("key sync: stopping");
        } catch (const SchemaMismatch&) {
            lease_.give_back();
            throw;
        } catch (const std::exception& weather) {
            quiet_.warn(std::string("key sync: ") + weather.what() + "; trying again");
        }
        lease_.give_back();
        if (Clock::now() - began > kGoodTerm) backoff.reset();
        wait_readable({stop_.fd()}, milliseconds(backoff.next_ms()));
    }
}

void KeySync::one_term() {
    Postgres::Options options;
    options.stop = &stop_;
    Postgres postgres(settings_.postgres, options);
    require_schema(postgres);
    postgres.execute(std::string("LISTEN ") + kChangedChannel + "; LISTEN " + kDoneChannel);
    const std::string token = wait_for_lease(postgres);
    postgres.execute(std::string("UNLISTEN ") + kDoneChannel);
    lead(postgres, token);
}

void KeySync::lead(Postgres& postgres, const std::string& token) {
    RedisClient redis(redis_target_);
    spdlog::info("leading: Postgres answers, Redis at {} answers", redis::display(settings_.redis));
    LeaderTerm term({postgres, redis, redis_target_, lease_, names_, stop_, quiet_}, token);
    try {
        term.lead(untold_.take(Clock::now()));
    } catch (...) {
        for (const Receipt receipt : term.untold())
            untold_.heard(receipt, Clock::now());
        throw;
    }
}

std::string KeySync::wait_for_lease(Postgres& postgres) {
    lease_.changed().clear();
    lease_.want();
    for (;;) {
        if (stop_.is_set()) throw Stopped();
        lease_.changed().clear();
        std::string token = lease_.token();
        if (!token.empty()) return token;
        if (!wait_readable({postgres.socket(), stop_.fd(), lease_.changed().fd()}, LeaderTerm::kHeartbeatEvery)) {
            postgres.query_within(LeaderTerm::kHeartbeatEvery, "SELECT 1");
        }
        stand_by(postgres);
    }
}

// Remembers who waits; also notices that the connection is gone.
void KeySync::stand_by(Postgres& postgres) {
    for (const PgNotification& notification : postgres.take_notifications()) {
        if (notification.channel == kDoneChannel) {
            if (const auto done = parse_done(notification.payload)) untold_.told(done->receipt);
        } else if (const auto change = parse_change(notification.payload)) {
            untold_.heard(change->receipt, Clock::now());
        }
    }
}

}  // namespace apikey
