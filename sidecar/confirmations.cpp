#include "sidecar/confirmations.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace apikey {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Names that confirm while everything is held and are no members: anybody may publish any number of them.
constexpr std::size_t kMostStrangers = 10'000;

}  // namespace

// --- receipts ------------------------------------------------------------------------------------------------

void Confirmations::heard(Receipt receipt, Time now) {
    const auto [entry, is_new] = waiting_.try_emplace(receipt);
    if (is_new) entry->second.deadline = now + kPatience;
    ++entry->second.parts;
}

void Confirmations::same_as_another(Receipt receipt) {
    const auto found = waiting_.find(receipt);
    if (found != waiting_.end() && found->second.parts > 0) --found->second.parts;
}

bool Confirmations::is_due(const Waiting& waiting, Time now) const {
    return !holding_ && waiting.parts == 0 && (waiting.batches.empty() || waiting.deadline <= now);
}

bool Confirmations::has_done(Time now) const {
    return std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& entry) { return is_due(entry.second, now); });
}

std::vector<Done> Confirmations::take_done(Time now) {
    std::vector<Done> done;
    for (auto entry = waiting_.begin(); entry != waiting_.end();) {
        if (is_due(entry->second, now)) {
            done.push_back(done_of(entry->first, entry->second));
            entry = waiting_.erase(entry);
        } else {
            ++entry;
        }
    }
    return done;
}

Done Confirmations::done_of(Receipt receipt, const Waiting& waiting) const {
    Ids all = waiting.done;
    Ids owing;
    for (const Marker marker : waiting.batches) {
        const Open& batch = open_.at(marker);
        all.insert(batch.done.begin(), batch.done.end());
        owing.insert(batch.owing.begin(), batch.owing.end());
    }
    all.insert(owing.begin(), owing.end());
    return {receipt, all.size() - owing.size(), all.size()};
}

std::vector<Receipt> Confirmations::untold() const {
    std::vector<Receipt> receipts;
    receipts.reserve(waiting_.size());
    for (const auto& [receipt, waiting] : waiting_)
        receipts.push_back(receipt);
    return receipts;
}

// --- batches -------------------------------------------------------------------------------------------------

void Confirmations::published(const Batch& batch) {
    const Time now = batch.membership.received;
    read(batch.membership);
    Open open{batch.keys, batch.any, now, alive(), {}, {}, false};
    for (const Receipt receipt : batch.receipts) {
        Waiting& waiting = waiting_[receipt];
        if (waiting.parts > 0) --waiting.parts;
        if (waiting.deadline < now) waiting.deadline = now + kPatience;
        waiting.batches.insert(batch.marker);
        open.receipts.insert(receipt);
    }
    if (batch.any) supersede_all(open, batch.marker);
    open_.emplace(batch.marker, std::move(open));
    settle(now);
}

// Whoever waits for what was published before now waits for this.
void Confirmations::supersede_all(Open& by, Marker marker) {
    for (const auto& [superseded, batch] : open_) {
        for (const Receipt receipt : batch.receipts) {
            const auto found = waiting_.find(receipt);
            if (found == waiting_.end()) continue;
            found->second.batches = {marker};
            found->second.done.clear();
            if (found->second.deadline < by.published) found->second.deadline = by.published + kPatience;
            by.receipts.insert(receipt);
        }
    }
    open_.clear();
}

void Confirmations::confirmed(std::string_view worker, Marker marker, Time now) {
    const auto batch = open_.find(marker);
    if (batch == open_.end()) return;
    auto known = workers_.find(worker);
    if (known == workers_.end()) {
        if (!holding_ || workers_.size() >= kMostStrangers) return;
        known = workers_.try_emplace(std::string(worker)).first;
        known->second.id = ++last_id_;
    }
    const WorkerId id = known->second.id;
    if (batch->second.owing.erase(id) == 0 && !holding_) return;
    batch->second.done.insert(id);
    settle(now);
}

// Batches for which nobody has to confirm any more are in force.
void Confirmations::settle(Time now) {
    if (holding_) return;
    for (auto entry = open_.begin(); entry != open_.end();) {
        const Open& batch = entry->second;
        if (!batch.owing.empty()) {
            ++entry;
            continue;
        }
        for (const Receipt receipt : batch.receipts) {
            const auto found = waiting_.find(receipt);
            if (found == waiting_.end()) continue;
            found->second.batches.erase(entry->first);
            found->second.done.insert(batch.done.begin(), batch.done.end());
        }
        if (!batch.reported) {
            outcomes_.push_back({batch.keys,
                                 batch.any,
                                 batch.done.size(),
                                 batch.done.size(),
                                 duration_cast<milliseconds>(now - batch.published),
                                 {}});
        }
        entry = open_.erase(entry);
    }
}

std::vector<Confirmations::Outcome> Confirmations::take_outcomes(Time now) {
    if (holding_) return {};
    for (auto entry = open_.begin(); entry != open_.end();) {
        Open& batch = entry->second;
        const bool late = batch.published + kPatience <= now;
        if (late && !batch.reported) {
            batch.reported = true;
            outcomes_.push_back({batch.keys, batch.any, batch.done.size(), batch.done.size() + batch.owing.size(),
                                 duration_cast<milliseconds>(now - batch.published), names_of(batch.owing)});
        }
        const bool awaited = std::any_of(batch.receipts.begin(), batch.receipts.end(),
                                         [this](Receipt receipt) { return waiting_.contains(receipt); });
        entry = late && !awaited ? open_.erase(entry) : std::next(entry);
    }
    return std::exchange(outcomes_, {});
}

bool Confirmations::is_waiting() const noexcept {
    return !open_.empty();
}

Confirmations::Time Confirmations::next_event() const {
    Time next = Time::max();
    if (holding_) return next;
    if (!open_.empty()) next = last_read_ + kReadEvery;
    for (const auto& [marker, batch] : open_) {
        if (!batch.reported) next = std::min(next, batch.published + kPatience);
    }
    for (const auto& [receipt, waiting] : waiting_) {
        if (waiting.parts == 0) next = std::min(next, waiting.deadline);
    }
    return next;
}

// --- members -------------------------------------------------------------------------------------------------

void Confirmations::read(const Membership& membership) {
    take_members(membership);
    if (holding_) return;
    const Ids present = alive();
    for (auto& [marker, batch] : open_)
        std::erase_if(batch.owing, [&](WorkerId id) { return !present.contains(id); });
    settle(membership.received);
}

void Confirmations::take_members(const Membership& membership) {
    watch_clock(membership);
    for (auto& [name, worker] : workers_)
        worker.member = false;
    for (const Member& member : membership.members) {
        const auto [entry, is_new] = workers_.try_emplace(member.worker);
        Worker& worker = entry->second;
        if (is_new) worker.id = ++last_id_;
        if (is_new || worker.score != member.lease_ends) worker.seen = membership.received;
        worker.score = member.lease_ends;
        worker.member = true;
    }
    for (auto entry = workers_.begin(); entry != workers_.end();) {
        Worker& worker = entry->second;
        worker.alive = worker.member && !has_ended(worker, membership);
        entry = worker.member || holding_ ? std::next(entry) : workers_.erase(entry);
    }
}

// By Redis' clock, which the score was made from. Or by ours: a lease never lasts longer than kRegistration after the
// registration that we have seen; so a score far in the future (the clock was put back) does not count for long.
bool Confirmations::has_ended(const Worker& worker, const Membership& membership) const {
    if (membership.received - worker.seen >= kRegistration) return true;
    if (membership.received < scores_count_from_) return false;
    return worker.score + static_cast<double>(kClockSlack.count()) <= static_cast<double>(membership.redis_now);
}

// A clock that is put forward makes all leases look ended, until their holders have registered by the new time. The first
// reading, when it cannot be known, is taken for such a jump, since last_clock_ is 0 then.
void Confirmations::watch_clock(const Membership& membership) {
    const milliseconds by_redis(membership.redis_now - last_clock_);
    const auto at_least = membership.asked - last_read_;
    if (by_redis > at_least + kClockSlack) scores_count_from_ = membership.received + kRegistration;
    last_read_ = membership.received;
    last_clock_ = membership.redis_now;
}

Confirmations::Ids Confirmations::alive() const {
    Ids ids;
    for (const auto& [name, worker] : workers_) {
        if (worker.alive) ids.insert(worker.id);
    }
    return ids;
}

bool Confirmations::release(const Membership& membership) {
    take_members(membership);
    const Ids present = alive();
    bool complete = true;
    for (auto& [marker, batch] : open_) {
        batch.owing.clear();
        std::set_difference(present.begin(), present.end(), batch.done.begin(), batch.done.end(),
                            std::inserter(batch.owing, batch.owing.end()));
        std::erase_if(batch.done, [&](WorkerId id) { return !present.contains(id); });
        complete = complete && batch.owing.empty();
    }
    holding_ = false;
    std::erase_if(workers_, [](const auto& entry) { return !entry.second.member; });
    settle(membership.received);
    return complete;
}

std::vector<std::string> Confirmations::names_of(const Ids& ids) const {
    std::vector<std::string> names;
    for (const auto& [name, worker] : workers_) {
        if (ids.contains(worker.id)) names.push_back(name);
    }
    return names;
}

}  // namespace apikey
