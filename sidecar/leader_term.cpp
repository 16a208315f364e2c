#include "sidecar/leader_term.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_set>

#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;

// One announcement per receipt; one with 0 where nobody waits.
void announce(KeyMirror::Announcements& to, std::string_view hash, const std::set<Receipt>& receipts) {
    if (receipts.empty()) to.push_back({hash, kNobodyWaits});
    for (const Receipt receipt : receipts)
        to.push_back({hash, receipt});
}

}  // namespace

LeaderTerm::LeaderTerm(Parts parts, const std::string& token)
    : parts_(parts),
      token_(token),
      writer_(parts.redis, parts.names.leader, token),
      mirror_(parts.postgres, parts.redis, writer_, parts.names, parts.quiet),
      next_heartbeat_(Clock::now() + kHeartbeatEvery) {}

void LeaderTerm::lead() {
    parts_.postgres.execute(std::string("LISTEN ") + kChangedChannel);
    full_pass();
    for (;;) {
        tell_waiting();
        wait();
        collect();
        if (Clock::now() >= next_retry_) retry_postponed();
        handle_key_changes();
        tell_waiting();  // before a pass, which takes its time
        if (pending_.wants_full_pass() || Clock::now() >= next_pass_) full_pass();
    }
}

void LeaderTerm::full_pass() {
    const std::set<Receipt> receipts = pending_.take_full_pass();
    const auto began = Clock::now();
    FullPass::Hooks hooks;
    hooks.notices_wait = [this] {
        collect();
        return pending_.has_keys();
    };
    hooks.handle_notices = [this] {
        collect();
        handle_key_changes();
        tell_waiting();
    };
    hooks.postpone = [this](const std::vector<const KeyBatch::Key*>& keys) {
        for (const KeyBatch::Key* key : keys)
            postpone(std::string(key->hash), {});
    };
    hooks.wait_for_memory = [this] { wait_for_memory(); };
    FullPass pass(mirror_, parts_.redis, writer_, parts_.names, hooks);
    const FullPass::Report report = pass.run();

    KeyMirror::Announcements confirm;
    for (const Receipt receipt : receipts)
        confirm.push_back({"", receipt});
    mirror_.remove({}, confirm);
    parts_.lease.guard_epoch(report.epoch);
    epoch_set_ = true;
    applied_.insert(receipts.begin(), receipts.end());
    next_pass_ = Clock::now() + kVerifyEvery;
    log_pass(report, Clock::now() - began);
}

void LeaderTerm::log_pass(const FullPass::Report& report, Clock::duration took) const {
    const auto ms = std::chrono::duration_cast<milliseconds>(took).count();
    if (report.rebuilt) {
        spdlog::info("Redis rebuilt: {} keys written, {} removed, {} ms", report.written, report.removed, ms);
    } else if (report.written + report.removed > 0) {
        spdlog::warn("Redis verified: {} keys, repaired: {} written, {} removed, {} ms", report.keys, report.written,
                     report.removed, ms);
    } else {
        spdlog::info("Redis verified: {} keys, nothing to repair, {} ms", report.keys, ms);
    }
}

void LeaderTerm::wait() {
    auto until = std::min(next_pass_, next_heartbeat_);
    if (!postponed_.empty()) until = std::min(until, next_retry_);
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    wait_readable({parts_.postgres.socket(), parts_.stop.fd(), parts_.lease.changed().fd()},
                  std::max(left, milliseconds(0)));
    check_still_leading();
    if (Clock::now() >= next_heartbeat_) {
        parts_.postgres.query_within(kHeartbeatEvery, "SELECT 1");
        parts_.redis.text({"PING"});  // also keeps a server with an idle timeout from closing it
        next_heartbeat_ = Clock::now() + kHeartbeatEvery;
    }
}

void LeaderTerm::wait_for_memory() {
    parts_.quiet.error("Redis is full (OOM): keys cannot be written, nginx answers 503; raise maxmemory");
    wait_readable({parts_.stop.fd(), parts_.lease.changed().fd()}, kRetryWhenFull);
}

void LeaderTerm::check_still_leading() {
    if (parts_.stop.is_set()) throw Stopped();
    if (!parts_.lease.changed().is_set()) return;
    parts_.lease.changed().clear();
    if (parts_.lease.token() != token_) throw LeadershipLost("no longer the leader");
}

void LeaderTerm::collect() {
    check_still_leading();
    for (const PgNotification& notification : parts_.postgres.take_notifications()) {
        const auto change = parse_change(notification.payload);
        if (change) {
            pending_.add(*change);
        } else {
            parts_.quiet.warn("somebody sent a NOTIFY apikey_changed that is no notice; ignored");
        }
    }
}

void LeaderTerm::handle_key_changes() {
    while (pending_.has_keys()) {
        apply(pending_.take_keys(KeyMirror::kBatch));
        collect();
    }
}

void LeaderTerm::apply(const PendingChanges::ByHash& changes) {
    std::vector<std::string_view> hashes;
    for (const auto& [hash, receipts] : changes)
        hashes.emplace_back(hash);
    const KeyBatch batch = mirror_.read(hashes);

    std::unordered_set<std::string_view> active;
    std::vector<const KeyBatch::Key*> put;
    KeyMirror::Announcements put_announce;
    for (const KeyBatch::Key& key : batch.keys) {
        active.insert(key.hash);
        put.push_back(&key);
        announce(put_announce, key.hash, changes.find(key.hash)->second);
    }
    std::vector<std::string_view> gone;
    KeyMirror::Announcements gone_announce;
    for (const auto& [hash, receipts] : changes) {
        postponed_.erase(hash);  // whatever was to be tried again, this is newer
        if (active.contains(hash)) continue;
        gone.emplace_back(hash);
        announce(gone_announce, hash, receipts);
    }
    // Apart from each other: a revocation must not fail because Redis has no memory for a new key.
    mirror_.remove(gone, gone_announce);
    const bool full = mirror_.put(put, put_announce) == FencedWriter::Outcome::full;
    for (const auto& [hash, receipts] : changes) {
        if (full && active.contains(hash)) {
            postpone(hash, receipts);
        } else {
            applied_.insert(receipts.begin(), receipts.end());
        }
    }
}

void LeaderTerm::postpone(const std::string& hash, const std::set<Receipt>& receipts) {
    parts_.quiet.error("Redis is full (OOM): new and changed keys wait, revocations do not; raise maxmemory");
    postponed_[hash].insert(receipts.begin(), receipts.end());
    next_retry_ = Clock::now() + kRetryWhenFull;
}

void LeaderTerm::retry_postponed() {
    for (const auto& [hash, receipts] : std::exchange(postponed_, {})) {
        pending_.add({from_hex(hash), kNobodyWaits});
        for (const Receipt receipt : receipts)
            pending_.add({from_hex(hash), receipt});
    }
}

void LeaderTerm::tell_waiting() {
    if (!epoch_set_ || applied_.empty()) return;
    std::vector<std::string> payloads;
    std::set<Receipt> later;
    for (const Receipt receipt : applied_) {
        const bool in_part = pending_.waits_for(receipt) ||
                             std::any_of(postponed_.begin(), postponed_.end(),
                                         [&](const auto& entry) { return entry.second.contains(receipt); });
        if (in_part) {
            later.insert(receipt);
        } else {
            payloads.push_back(format_done({receipt, 0, 0}));
        }
    }
    applied_ = std::move(later);
    if (payloads.empty()) return;
    parts_.postgres.query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload",
                          {kDoneChannel, array_literal(payloads)});
}

}  // namespace apikey
