// Watch, Coverage and ChangeIntake against a simulated world (watch_world.hpp), shuffled command by command: workers that
// come, watch, freeze and die over one zone. Whenever one takes an answer out of the zone without asking, then
//
//   - it is no older than the key was in Redis when the last PING was sent that this worker's subscription answered, and
//   - it is no older than any change that is in force.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>

#include "tests/core/watch_world.hpp"

namespace apikey::test {
namespace {

struct Tally {
    int used = 0;
    int used_of_others = 0;  // from before its own subscription
    int not_covered = 0;
    int deaths = 0;
};

// How rarely a worker does something: once in so many chances.
struct Pace {
    int lookup_in;
    int hear_in;
    int loss_in;
    int freeze_in;
};

class WatchingWorker {
  public:
    WatchingWorker(WorkerId id, SharedZone& zone, Publisher& redis, std::mt19937& random, const Pace& pace,
                   Tally& tally)
        : id_(id), zone_(zone), redis_(redis), random_(random), tally_(tally), pace_(pace) {}
    ~WatchingWorker() { redis_.subscribers.erase(id_); }

    // Something this worker does next. False: it dies.
    bool step(Time time) {
        if (time < frozen_until_) return true;
        if (chance(pace_.freeze_in)) frozen_until_ = time + 4 * below(4000);
        if (chance(3)) cached_ = floor_ms(time);  // else it is still in the same turn of its event loop
        if (frozen_until_ > time) return true;
        if (partial_store_) return false;
        switch (below(12)) {
            case 0: keep_up(time); break;
            case 1:
                if (chance(pace_.lookup_in)) look_up();
                break;
            case 2:
            case 3: use(time); break;
            case 4:
            case 5: execute(to_subscription_, time); break;
            case 6:
            case 7: execute(to_data_, time); break;
            case 8:
                if (chance(pace_.hear_in)) hear(time);
                break;
            case 9: flush_if_due(); break;
            case 10: read_answers(); break;
            default:
                if (chance(pace_.loss_in)) lose_subscription();
                return !chance(700) || leave();
        }
        return true;
    }

  private:
    // nginx's clock: read at the beginning of a turn, and slow.
    Millis floor_ms(Time time) { return clock_ = std::max(clock_, time / 4 - below(11)); }
    static Millis ceiling_ms(Time time) { return time / 4 + 1; }

    void keep_up(Time time) {
        if (!subscribed_ && to_subscription_.empty() && from_subscription_.empty())
            to_subscription_.push_back({ToRedis::What::subscribe});
        if (!subscribed_) return;
        if (cached_ >= last_ping_at_ + redis::kPingEvery || chance(20)) ping(time);
        if (cached_ >= registered_at_ + redis::kPingEvery && !registering_ && chance(2)) {
            registering_ = true;
            registered_at_ = cached_;
            const Millis score = clock_offset_ ? cached_ + *clock_offset_ + redis::kRegistration : 0;
            to_data_.push_back({.what = ToRedis::What::register_worker, .sent = cached_, .score = score});
        }
    }
    void ping(Time time) {
        last_ping_at_ = cached_;
        to_subscription_.push_back({.what = ToRedis::What::ping, .number = ++last_ping_, .sent = cached_});
        ping_times_[last_ping_] = time;
    }
    void look_up() {
        const int key = below(kWatchedKeys);
        to_data_.push_back({.what = ToRedis::What::lookup,
                            .key = key,
                            .sent = cached_,
                            .ticket = zone_.changes.at(key),
                            .generation = zone_.generation});
    }

    void use(Time time) {
        const int key = below(kWatchedKeys);
        const auto& entry = zone_.entries.at(key);
        if (!entry || entry->generation != zone_.generation) return;
        if (!watch_.covers(entry->validated_at, floor_ms(time))) {
            ++tally_.not_covered;
            return;
        }
        ++tally_.used;
        if (entry->validated_at <= since_) ++tally_.used_of_others;
        ASSERT_GE(entry->version, redis_.version_at(key, ping_times_.at(concluded_ping_)))
            << "worker " << id_ << " at " << time / 4 << ": a change was missed";
        ASSERT_GE(entry->version, redis_.in_force(key))
            << "worker " << id_ << " at " << time / 4 << ": another answer is in force";
    }

    // Redis takes the next command of this connection.
    void execute(std::deque<ToRedis>& commands, Time time) {
        if (commands.empty()) return;
        const ToRedis command = commands.front();
        commands.pop_front();
        switch (command.what) {
            case ToRedis::What::subscribe:
                redis_.subscribers[id_] = &from_subscription_;
                from_subscription_.push_back({FromRedis::What::subscribed, command});
                break;
            case ToRedis::What::ping: from_subscription_.push_back({FromRedis::What::pong, command}); break;
            case ToRedis::What::lookup:
                from_data_.push_back({FromRedis::What::facts, command, 0, 0, redis_.version(command.key)});
                break;
            case ToRedis::What::register_worker:
                if (command.score != 0) redis_.set_member(id_, command.score);
                from_data_.push_back({FromRedis::What::registered, command, 0, 0, 0, redis_.now(time) + 1});
                break;
            case ToRedis::What::deregister: redis_.remove_member(id_); break;
            case ToRedis::What::confirm: redis_.confirmed(id_, command.number, time); break;
        }
    }

    // Reads what the subscription has brought, some or all of it.
    void hear(Time time) {
        intake_.begin_turn();
        const bool all = chance(2);
        while (!from_subscription_.empty() && (all || !chance(3))) {
            const FromRedis event = from_subscription_.front();
            from_subscription_.pop_front();
            if (event.what == FromRedis::What::subscribed) {
                subscribed_ = true;
                since_ = ceiling_ms(time);
                watch_.subscribed(since_);
                ping(time);
            } else if (event.what == FromRedis::What::pong) {
                answered_ = {event.asked.number, event.asked.sent};
            } else {
                take(event);
            }
        }
        flush_if_due();
    }
    void take(const FromRedis& event) {
        redis::Change change{std::nullopt, event.receipt};
        if (event.key != kAllKeys) change.key = Digest{static_cast<std::uint8_t>(event.key)};
        if (!intake_.take(change, 0)) return;
        if (chance(10)) {
            ++zone_.generation;  // the lock could not be had
        } else {
            zone_.forget(event.key);
        }
    }
    void flush_if_due() {
        if (intake_.flush_pending() && cached_ >= intake_.flush_at()) {
            ++zone_.generation;
            intake_.flushed(cached_);
        }
        if (!subscribed_ || intake_.flush_pending()) return;
        watch_.answered(answered_);
        concluded_ping_ = answered_.number;
        if (answered_.number != 0 && !chance(10)) tell_zone();
        for (; intake_.to_confirm() != nullptr; intake_.confirmed())
            to_data_.push_back({.what = ToRedis::What::confirm, .number = intake_.to_confirm()->receipt});
    }
    void tell_zone() {
        if (chance(40)) {  // dies in the middle of it
            const Interval before = zone_.coverage.get();
            zone_.coverage.store({joined(before, watch_.claim()).since, before.until});
            partial_store_ = true;
            return;
        }
        watch_.trusts_since(zone_.coverage.add(watch_.claim()));
    }

    void read_answers() {
        while (!from_data_.empty() && !chance(4)) {
            const FromRedis answer = from_data_.front();
            from_data_.pop_front();
            if (answer.what == FromRedis::What::registered) {
                registering_ = false;
                if (answer.asked.score != 0 && !registration_ended_) watch_.registered(answer.asked.sent, last_ping_);
                registration_ended_ = false;
                clock_offset_ = answer.redis_now - answer.asked.sent;
                continue;
            }
            const ToRedis& asked = answer.asked;
            if (asked.ticket != zone_.changes.at(asked.key) || asked.generation != zone_.generation) continue;
            auto& entry = zone_.entries.at(asked.key);
            if (entry && entry->generation == zone_.generation && entry->validated_at > asked.sent) continue;
            entry = SharedZone::Entry{answer.version, asked.sent, zone_.generation};
        }
    }

    void lose_subscription() {
        if (!subscribed_) return;
        subscribed_ = false;
        redis_.subscribers.erase(id_);
        to_subscription_.clear();
        from_subscription_.clear();
        answered_ = {};
        watch_.unsubscribed();
        registration_ended_ = registering_;
        to_data_.push_back({ToRedis::What::deregister});
    }
    // Exits; as a rule not without saying so.
    bool leave() {
        ++tally_.deaths;
        watch_.unsubscribed();
        if (!chance(3)) redis_.remove_member(id_);
        return false;
    }

    int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
    bool chance(int one_in) { return below(one_in) == 0; }

    const WorkerId id_;
    SharedZone& zone_;
    Publisher& redis_;
    std::mt19937& random_;
    Tally& tally_;
    const Pace pace_;
    Millis clock_ = 0;
    redis::Watch watch_;
    redis::ChangeIntake intake_;
    std::deque<ToRedis> to_subscription_, to_data_;
    std::deque<FromRedis> from_subscription_, from_data_;
    bool subscribed_ = false;
    bool registering_ = false;
    bool registration_ended_ = false;
    bool partial_store_ = false;
    Millis cached_ = 0;
    Millis since_ = 0;
    Millis last_ping_at_ = 0;
    Millis registered_at_ = 0;
    Time frozen_until_ = 0;
    std::optional<Millis> clock_offset_;
    std::uint64_t last_ping_ = 0;
    std::uint64_t concluded_ping_ = 0;
    redis::SubscriptionSession::Ping answered_;
    std::map<std::uint64_t, Time> ping_times_;
};

void run_world(unsigned seed, int steps, Tally& tally) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned limit) { return static_cast<int>(random() % limit); };
    SharedZone zone;
    Publisher redis(1'000'000 - below(2'000'000));
    std::vector<std::unique_ptr<WatchingWorker>> workers(1 + static_cast<std::size_t>(below(4)));
    WorkerId last_id = 0;
    Time time = 4 * 100'000;
    const unsigned changes_in = 50U << below(8);
    const Pace pace{1 << below(8), 1 << below(5), 50 << below(6), 300 << below(4)};
    for (int step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) {
        if (below(4) == 0) time += below(step % 20'000 < 2'000 ? 200 : 12);
        if (random() % changes_in == 0) redis.change(below(6) == 0 ? kAllKeys : below(kWatchedKeys), time);
        redis.settle(time);
        auto& worker = workers.at(static_cast<std::size_t>(below(static_cast<unsigned>(workers.size()))));
        if (worker == nullptr) {
            if (below(20) != 0) continue;
            worker = std::make_unique<WatchingWorker>(++last_id, zone, redis, random, pace, tally);
        } else if (!worker->step(time)) {
            worker.reset();
        }
    }
}

// SEED=n runs another world, and a longer time.
// Hazards: C1, C18, N25, R18, R20
TEST(WatchModel, NoAnswerIsOlderThanAChangeInForce) {
    const char* const wanted = std::getenv("SEED");
    const unsigned first = wanted != nullptr ? static_cast<unsigned>(std::stoul(wanted)) : 1;
    const unsigned last = wanted != nullptr ? first : 60;
    Tally tally;
    for (unsigned seed = first; seed <= last; ++seed) {
        SCOPED_TRACE("SEED=" + std::to_string(seed));
        run_world(seed, wanted != nullptr ? 5'000'000 : 200'000, tally);
        if (HasFatalFailure()) return;
    }
    // Not by never using anything.
    EXPECT_GT(tally.used, 20'000);
    EXPECT_GT(tally.used_of_others, 500);
    EXPECT_GT(tally.not_covered, 10'000);
    EXPECT_GT(tally.deaths, 50);
}

}  // namespace
}  // namespace apikey::test
