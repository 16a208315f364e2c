// Workers that register, stall, die, leave and come back, a clock that jumps, messages and confirmations that come
// late, twice, out of order or never, FLUSHALL: whatever happens, a change that counts as in force has been applied by
// every worker that may still go by its cache. Seeds 1 to kSeeds, each its own history.
// Hazards: C2
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/confirmations.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;
using Millis = std::int64_t;

constexpr int kSeeds = 400;
constexpr int kSteps = 600;
constexpr Millis kNever = -1'000'000;

// A worker as change.hpp describes it: what it may believe depends on PINGs that its subscription answered, in order
// with the messages, and on its registration.
struct Worker {
    struct Incoming {
        Receipt marker = 0;   // a message, or
        Millis pinged = 0;    // the answer to a PING sent then,
        Millis covered = 0;   // when the registration that had been acknowledged was sent
        std::size_t seq = 0;  // of the message
        bool any = false;
    };
    std::string name;
    Millis registered = kNever;
    Millis lease_until = kNever;
    std::deque<Incoming> inbox;
    std::set<std::size_t> applied;
    std::size_t all_before = 0;  // a "*" with this seq was applied
    bool mute = false;           // applies and does not confirm

    [[nodiscard]] bool has_applied(std::size_t seq) const { return seq <= all_before || applied.contains(seq); }
};

struct Part {
    Receipt receipt;
    std::size_t seq;  // 0: not published
};

class World {
  public:
    explicit World(unsigned seed) : random_(seed) {
        for (int i = 0; i < 3; ++i)
            start_worker();
    }

    void run() {
        for (int step = 0; step < kSteps; ++step) {
            pass_time(chance(10) ? pick(700) : pick(40));
            for (int i = pick(4); i >= 0; --i)
                something_happens();
            check();
        }
        // Calm: everything that was heard is told in the end.
        publish_all();
        for (int step = 0; step < 300; ++step) {
            pass_time(50);
            work_of_workers();
            deliver_all();
            lead();
            check();
        }
        EXPECT_TRUE(confirmations_.untold().empty());
        EXPECT_FALSE(confirmations_.is_waiting());
        EXPECT_GT(told_, 0U);
    }

  private:
    int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
    bool chance(int percent) { return pick(100) < percent; }
    Confirmations::Time time() const { return Confirmations::Time() + milliseconds(now_); }
    Millis redis_now() const { return now_ + skew_; }

    void pass_time(Millis ms) { now_ += ms; }

    void something_happens() {
        switch (pick(16)) {
            case 0: hear(); break;
            case 1:
            case 2: publish_some(false); break;
            case 3:
                if (chance(20)) publish_some(true);
                break;
            case 4: deliver_one(); break;
            case 5: deliver_all(); break;
            case 6: lead(); break;
            case 7:
                if (chance(5)) flush();
                break;
            case 8:
                if (chance(5)) skew_ += pick(20'000) - 10'000;
                break;
            case 9:
                if (chance(10)) start_worker();
                break;
            case 10:
                if (chance(10)) end_worker();
                break;
            case 11:
                if (chance(10)) mute_or_wake();
                break;
            case 12:
                if (chance(10)) lose_confirmations();
                break;
            case 13: confirmations_.confirmed("stranger", last_marker_, time()); break;
            default: work_of_workers();
        }
    }

    // --- workers ---

    void start_worker() {
        workers_.emplace_back().name = "w" + std::to_string(++names_);
        workers_.back().all_before = seq_;  // its cache begins now
    }

    void end_worker() {
        if (workers_.empty()) return;
        const auto victim = workers_.begin() + pick(static_cast<int>(workers_.size()));
        if (chance(50)) registry_.erase(victim->name);  // in order; else killed
        workers_.erase(victim);
    }

    void mute_or_wake() {
        for (Worker& worker : workers_)
            worker.mute = chance(20);
    }

    void work_of_workers() {
        for (Worker& worker : workers_) {
            if (chance(30)) continue;  // stalls
            if (chance(50)) ping(worker);
            if (chance(50)) enroll(worker);
            for (int i = pick(6); i > 0 && !worker.inbox.empty(); --i)
                take_one(worker);
        }
    }

    void ping(Worker& worker) {
        Worker::Incoming pong;
        pong.pinged = now_;
        pong.covered = worker.registered;
        worker.inbox.push_back(pong);
    }

    void enroll(Worker& worker) {
        if (chance(10)) return;  // refused
        registry_[worker.name] = redis_now() + redis::kRegistration + pick(5);
        if (!chance(5)) worker.registered = now_;  // else the answer was lost
    }

    void take_one(Worker& worker) {
        const Worker::Incoming incoming = worker.inbox.front();
        worker.inbox.pop_front();
        if (incoming.seq == 0) {
            const Millis until = std::min(incoming.pinged + redis::kLease, incoming.covered + redis::kRegistration);
            worker.lease_until = std::max(worker.lease_until, until);
            return;
        }
        worker.applied.insert(incoming.seq);
        if (incoming.any) worker.all_before = std::max(worker.all_before, incoming.seq);
        if (incoming.marker == 0 || worker.mute) return;
        const auto place = chance(20) ? pick(static_cast<int>(confirming_.size()) + 1)
                                      : static_cast<int>(confirming_.size());  // out of order
        confirming_.insert(confirming_.begin() + place, {worker.name, incoming.marker});
        if (chance(10)) confirming_.push_back({worker.name, incoming.marker});
    }

    // --- the leader ---

    void hear() {
        const Receipt receipt = chance(30) && last_receipt_ > 0 ? last_receipt_ : ++last_receipt_;
        heard_.try_emplace(receipt, now_);
        parts_.push_back({receipt, 0});
        confirmations_.heard(receipt, time());
    }

    Membership members() const {
        Membership read{time(), time(), redis_now(), {}, false};
        for (const auto& [name, score] : registry_)
            read.members.push_back({name, static_cast<double>(score)});
        return read;
    }

    void send(Confirmations::Batch batch) {
        ++seq_;
        for (Worker& worker : workers_) {
            Worker::Incoming message;
            message.marker = batch.marker = last_marker_ + 1;
            message.seq = seq_;
            message.any = batch.any;
            worker.inbox.push_back(message);
        }
        batch.marker = ++last_marker_;
        batch.membership = members();
        confirmations_.published(batch);
    }

    void publish_some(bool any) {
        Confirmations::Batch batch;
        batch.any = any;
        for (Part& part : parts_) {
            if (part.seq != 0 || chance(40)) continue;
            part.seq = seq_ + 1;
            batch.receipts.push_back(part.receipt);
        }
        batch.keys = batch.receipts.size();
        send(batch);
    }

    void publish_all() {
        Confirmations::Batch batch;
        for (Part& part : parts_) {
            if (part.seq != 0) continue;
            part.seq = seq_ + 1;
            batch.receipts.push_back(part.receipt);
        }
        send(batch);
    }

    void publish_any() {
        Confirmations::Batch batch;
        batch.any = true;
        send(batch);
    }

    void deliver_one() {
        if (confirming_.empty()) return;
        const auto [name, marker] = confirming_.front();
        confirming_.pop_front();
        confirmations_.confirmed(name, marker, time());
    }

    void deliver_all() {
        while (!confirming_.empty())
            deliver_one();
    }

    void lead() {
        if (held_until_ != 0 && now_ >= held_until_) {
            held_until_ = 0;
            if (!confirmations_.release(members())) publish_any();
        }
        if (confirmations_.next_event() <= time() && confirmations_.is_waiting()) confirmations_.read(members());
    }

    // The subscription to the confirmations broke and was made anew.
    void lose_confirmations() {
        confirming_.clear();
        if (confirmations_.is_waiting()) publish_any();
    }

    // FLUSHALL: another term begins with nothing but the receipts; its pass ends with a "*".
    void flush() {
        registry_.clear();
        const auto receipts = confirmations_.untold();
        confirmations_ = Confirmations();
        confirmations_.hold();
        held_until_ = now_ + redis::kRegistration;
        confirming_.clear();
        if (chance(50)) pass_time(pick(2000));
        Confirmations::Batch batch;
        batch.any = true;
        for (const Receipt receipt : receipts)
            batch.receipts.push_back(receipt);
        for (Part& part : parts_)
            part.seq = seq_ + 1;
        send(batch);
    }

    // --- what must hold ---

    void check() {
        for (const Done& done : confirmations_.take_done(time())) {
            ++told_;
            ASSERT_EQ(held_until_, 0) << "told while held";
            ASSERT_LE(done.confirmed, done.expected);
            if (done.confirmed < done.expected) {
                ASSERT_GE(now_ - heard_.at(done.receipt), Confirmations::kPatience.count());
            } else {
                check_in_force(done.receipt);
            }
            std::erase_if(parts_, [&](const Part& part) { return part.receipt == done.receipt; });
            heard_.erase(done.receipt);
        }
        confirmations_.take_outcomes(time());
    }

    void check_in_force(Receipt receipt) {
        for (const Part& part : parts_) {
            if (part.receipt != receipt) continue;
            ASSERT_NE(part.seq, 0U) << "a part was not published";
            for (const Worker& worker : workers_) {
                ASSERT_TRUE(worker.lease_until <= now_ || worker.has_applied(part.seq))
                    << worker.name << " may go by its cache for " << worker.lease_until - now_ << " ms";
            }
        }
    }

    std::mt19937 random_;
    Confirmations confirmations_;
    Millis now_ = 1'000'000;
    Millis skew_ = 1'700'000'000'000;
    std::map<std::string, Millis> registry_;
    std::vector<Worker> workers_;
    std::deque<std::pair<std::string, Receipt>> confirming_;
    std::vector<Part> parts_;
    std::map<Receipt, Millis> heard_;
    Receipt last_receipt_ = 0;
    Receipt last_marker_ = 0;
    std::size_t seq_ = 0;
    std::size_t names_ = 0;
    std::size_t told_ = 0;
    Millis held_until_ = 0;
};

TEST(ConfirmationsModel, InForceMeansThatNobodyGoesByWhatWasBefore) {
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        World(seed).run();
        if (testing::Test::HasFatalFailure() || testing::Test::HasNonfatalFailure()) return;
    }
}

}  // namespace
}  // namespace apikey
