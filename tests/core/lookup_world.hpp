// The world around a worker's LookupSession, small enough to be shuffled step by step: Postgres, the one address where
// Redis is found (flushed, restarted from an old snapshot, replaced, demoted and promoted), and two apikeyds that each
// believe they lead. The apikeyds follow sidecar/full_pass and sidecar/leader_term; one call is one command or query.
//
// It also remembers what was *in force*: what Postgres said about a key when a leader last wrote it to Redis, or, for
// keys that no write mentioned, what Redis held when the epoch was set. That is what a lookup may answer; see
// lookup_model_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace apikey::test {

using Step = std::int64_t;
using Owner = int;  // of an active key
inline constexpr Owner kInactive = -1;
inline constexpr int kKeys = 12;

// What a key was, from which step on.
class History {
  public:
    void record(Owner owner, Step now) {
        if (owner != changes_.back().owner) changes_.push_back({now, owner});
        while (changes_.size() > 64)
            changes_.pop_front();
    }
    [[nodiscard]] Owner latest() const { return changes_.back().owner; }
    // Was it `owner` at some moment since then?
    [[nodiscard]] bool was(Owner owner, Step since) const {
        for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
            if (change->owner == owner) return true;
            if (change->from <= since) return false;
        }
        return false;
    }

  private:
    struct Change {
        Step from;
        Owner owner;
    };
    std::deque<Change> changes_{{-1, kInactive}};
};

struct Postgres {
    std::array<History, kKeys> rows;
    std::array<std::set<int>*, 2> listeners{};  // where the apikeyds collect their notices
    Owner last_owner = 0;

    void change(int key, bool active, Step now) {
        rows.at(key).record(active ? ++last_owner : kInactive, now);
        for (std::set<int>* listener : listeners)
            listener->insert(key);
    }
    [[nodiscard]] Owner read(int key) const { return rows.at(key).latest(); }
};

// A Redis process, or whatever has taken its address.
struct Redis {
    struct Content {
        std::array<Owner, kKeys> keys;
        std::string epoch;
        std::string leader;
    };

    Content content = empty();
    Content snapshot = empty();  // what it would come back with
    std::string run_id = "run0";
    bool master = true;
    std::uint64_t leader_writes = 0;  // for WATCH
    int incarnation = 0;              // a connection belongs to one
    int usage_losses = 0;             // how often the stream of usage was lost, or replaced by an older one
    bool full = false;                // writes are refused
    int processes = 0;

    static Content empty() {
        Content none;
        none.keys.fill(kInactive);
        return none;
    }
    [[nodiscard]] bool names_this_run(const std::string& epoch) const { return epoch.starts_with(run_id + " "); }

    void set_leader(std::string token) {
        content.leader = std::move(token);
        ++leader_writes;
    }
    void flush() {
        content = empty();
        ++leader_writes;
        ++usage_losses;
    }
    // Another process at this address, with older data: every connection is lost.
    void replace(bool as_master) {
        content = snapshot;
        content.leader.clear();
        run_id = "run" + std::to_string(++processes);
        master = as_master;
        ++leader_writes;
        ++usage_losses;
        ++incarnation;
    }
    // The same process becomes another's replica and takes over its data; connections stay.
    void demote(Content others) {
        content = std::move(others);
        content.epoch = "run-of-another " + std::to_string(++processes);
        content.leader = "another";
        master = false;
        ++leader_writes;
        ++usage_losses;
    }
    void promote() { master = true; }
};

// What lookups may answer, and whether the apikeyds keep their word.
struct Ledger {
    std::array<History, kKeys> in_force;
    std::array<Step, kKeys> row_read{};  // of the write that is in force
    std::vector<std::string> broken;     // the simulation itself went wrong

    void wrote(int key, Owner owner, Step read_at, Step now) {
        if (read_at < row_read.at(key)) broken.push_back("an older row was written over a newer one");
        row_read.at(key) = read_at;
        in_force.at(key).record(owner, now);
    }
    void epoch_set(const Redis& redis, const Postgres& postgres, Step pass_began, Step now) {
        for (int key = 0; key < kKeys; ++key) {
            const Owner owner = redis.content.keys.at(key);
            if (!postgres.rows.at(key).was(owner, pass_began)) broken.push_back("the epoch vouches for a stray key");
            in_force.at(key).record(owner, now);
        }
    }
    // The promise of DESIGN §4.4, seen from outside: an epoch of this run means that the content is what is in force.
    void check(const Redis& redis) {
        if (!redis.master || !redis.names_this_run(redis.content.epoch)) return;
        for (int key = 0; key < kKeys; ++key) {
            if (redis.content.keys.at(key) != in_force.at(key).latest())
                broken.push_back("a trusted key is not in force");
        }
    }
};

// One apikeyd. It does not know whether it still leads: only the fence (WATCH apikey:leader ... EXEC) does.
class Leader {
  public:
    Leader(std::string name, Postgres& postgres, Redis& redis, Ledger& ledger)
        : name_(std::move(name)), postgres_(postgres), redis_(redis), ledger_(ledger) {}

    std::set<int> notices;

    // The next command or query of its work.
    void step(Step now) {
        if (state_ != State::idle && incarnation_ != redis_.incarnation) end_term();
        switch (state_) {
            case State::idle: return acquire();
            case State::decide: return decide(now);
            case State::watch: return watch();
            case State::exec: return exec(now);
        }
    }
    void end_term() { state_ = State::idle; }
    void wants_full_pass() { wants_pass_ = true; }
    [[nodiscard]] bool leads() const { return state_ != State::idle && redis_.content.leader == token_; }
    void renew() {
        if (leads()) redis_.set_leader(token_);
    }

  private:
    enum class State { idle, decide, watch, exec };
    enum class Pass { none, read_epoch, strays, rows, set_epoch };
    static constexpr int kBatch = 4;

    void acquire() {
        if (!redis_.master || !redis_.content.leader.empty()) return;
        token_ = name_ + std::to_string(++terms_);
        redis_.set_leader(token_);
        incarnation_ = redis_.incarnation;
        notices.clear();  // LISTEN comes before the pass
        pass_ = Pass::read_epoch;
        state_ = State::decide;
    }

    void decide(Step now) {
        write_ = {};
        write_.read_at = now;
        if (!notices.empty()) return apply_notices();
        switch (pass_) {
            case Pass::none:
                if (std::exchange(wants_pass_, false)) pass_ = Pass::read_epoch;
                return;
            case Pass::read_epoch:
                rebuild_ = !redis_.names_this_run(redis_.content.epoch);
                pass_run_id_ = redis_.run_id;
                pass_began_ = now;
                cursor_ = 0;
                pass_ = Pass::strays;
                return;
            case Pass::strays:
                for (int key = cursor_; key < cursor_ + kBatch; ++key) {
                    if (redis_.content.keys.at(key) != kInactive && postgres_.read(key) == kInactive) take_up(key);
                }
                return next_page(Pass::rows);
            case Pass::rows:
                for (int key = cursor_; key < cursor_ + kBatch; ++key) {
                    const Owner row = postgres_.read(key);
                    if (row != kInactive && (rebuild_ || redis_.content.keys.at(key) != row)) take_up(key);
                }
                return next_page(rebuild_ ? Pass::set_epoch : Pass::none);
            case Pass::set_epoch:
                write_.epoch = true;
                pass_ = Pass::none;
                state_ = State::watch;
        }
    }

    void apply_notices() {
        for (const int key : std::exchange(notices, {}))
            take_up(key);
    }
    void take_up(int key) {
        write_.rows.emplace_back(key, postgres_.read(key));
        state_ = State::watch;
    }
    void next_page(Pass after) {
        cursor_ += kBatch;
        if (cursor_ < kKeys) return;
        cursor_ = 0;
        pass_ = after;
    }

    void watch() {
        if (redis_.content.leader != token_) return end_term();
        watched_ = redis_.leader_writes;
        state_ = State::exec;
    }

    void exec(Step now) {
        if (!redis_.master) return end_term();  // READONLY
        state_ = State::watch;
        if (watched_ != redis_.leader_writes) return;  // and try again
        state_ = State::decide;
        for (const auto& [key, owner] : write_.rows) {
            redis_.content.keys.at(key) = owner;
            ledger_.wrote(key, owner, write_.read_at, now);
        }
        if (!write_.epoch) return;
        redis_.content.epoch = pass_run_id_ + " " + token_ + "-" + std::to_string(now);
        ledger_.epoch_set(redis_, postgres_, pass_began_, now);
    }

    struct Write {
        std::vector<std::pair<int, Owner>> rows;
        bool epoch = false;
        Step read_at = 0;
    };

    std::string name_;
    Postgres& postgres_;
    Redis& redis_;
    Ledger& ledger_;
    State state_ = State::idle;
    Pass pass_ = Pass::none;
    bool wants_pass_ = false;
    bool rebuild_ = false;
    int cursor_ = 0;
    int terms_ = 0;
    int incarnation_ = -1;
    std::string token_;
    std::string pass_run_id_;
    Step pass_began_ = 0;
    Write write_;
    std::uint64_t watched_ = 0;
};

}  // namespace apikey::test
