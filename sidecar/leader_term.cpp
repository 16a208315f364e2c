#include "sidecar/leader_term.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;

using Announcement = KeyMirror::Announcement;

void append(std::vector<Receipt>& to, const std::set<Receipt>& receipts) {
    to.insert(to.end(), receipts.begin(), receipts.end());
}

}  // namespace

LeaderTerm::LeaderTerm(Parts parts, const std::string& token)
    : parts_(parts),
      token_(token),
      writer_(parts.redis, parts.names, token),
      mirror_(parts.postgres, parts.redis, writer_, parts.names, parts.quiet,
              [this](const Confirmations::Batch& batch) { collector_.published(batch); }),
      collector_(parts.target, parts.names,
                 {parts.postgres, writer_, parts.quiet, [this] { mirror_.announce_any({}); }}),
      next_heartbeat_(Clock::now() + kHeartbeatEvery) {
    // An answer comes after all notices of a transaction, and libpq would keep every one of them.
    parts_.postgres.hear([this](const PgNotification& notification) { hear(notification); });
}

void LeaderTerm::lead(const std::vector<Receipt>& heard) {
    for (const Receipt receipt : heard)
        add({std::nullopt, receipt});
    full_pass();
    for (;;) {
        serve_clients();
        collect();  // what came while they were told does not make the socket readable again
        if (!pending_.has_keys() && !pending_.wants_full_pass()) wait();
        collect();
        if (Clock::now() >= next_retry_) retry_postponed();
        handle_key_changes();
        make_up_for_passes();
        if (!pending_.wants_full_pass() && Clock::now() < next_pass_) continue;
        serve_clients();  // before a pass, which takes its time
        full_pass();
    }
}

// The notices of one transaction arrive in pieces, and its receipt must not be told as in force when only the first of
// them is. Postgres sends them without a break: once a query that was asked after the first notice is answered (as
// apply() and a full pass ask), all have arrived, and collect() hears them.
void LeaderTerm::serve_clients() {
    collect();
    collector_.work();
}

void LeaderTerm::full_pass() {
    const std::set<Receipt> receipts = pending_.take_full_pass();
    const auto began = Clock::now();
    FullPass::Hooks hooks;
    hooks.rebuild_begins = [this] { collector_.distrust_members(); };
    hooks.others_wait = [this] {
        collect();
        return collector_.take() || pending_.has_keys();
    };
    hooks.do_others = [this] {
        collect();
        handle_key_changes();
        serve_clients();
    };
    hooks.postpone = [this](const std::vector<const KeyBatch::Key*>& keys) {
        for (const KeyBatch::Key* key : keys)
            postpone(std::string(key->hash), {});
    };
    hooks.wait_for_memory = [this] { wait_for_memory(); };
    FullPass pass(mirror_, parts_.redis, parts_.names, hooks);
    const FullPass::Report report = pass.run();

    parts_.lease.guard_epoch(report.epoch);
    if (report.postponed > 0) {
        leave_to_another_pass(receipts);
    } else if (!receipts.empty()) {
        mirror_.announce_any({receipts.begin(), receipts.end()});
    }
    collector_.members_complete();
    next_pass_ = Clock::now() + kVerifyEvery;
    log_pass(report, Clock::now() - began);
}

void LeaderTerm::log_pass(const FullPass::Report& report, Clock::duration took) const {
    const auto ms = std::chrono::duration_cast<milliseconds>(took).count();
    if (report.rebuilt) {
        spdlog::info("Redis rebuilt: {} keys written, {} removed, {} ms", report.written, report.removed, ms);
    } else if (report.postponed > 0) {
        spdlog::warn("Redis verified: {} keys, {} of them wait for memory, repaired: {} written, {} removed, {} ms",
                     report.keys, report.postponed, report.written, report.removed, ms);
    } else if (report.written + report.removed > 0) {
        spdlog::warn("Redis verified: {} keys, repaired: {} written, {} removed, {} ms", report.keys, report.written,
                     report.removed, ms);
    } else {
        spdlog::info("Redis verified: {} keys, nothing to repair, {} ms", report.keys, ms);
    }
}

void LeaderTerm::wait() {
    auto until = std::min({next_pass_, next_heartbeat_, collector_.next_event()});
    if (!postponed_.empty()) until = std::min(until, next_retry_);
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    wait_readable({parts_.postgres.socket(), collector_.descriptor(), parts_.stop.fd(), parts_.lease.changed().fd()},
                  std::max(left, milliseconds(0)));
    check_still_leading();
    if (Clock::now() >= next_heartbeat_) {
        parts_.postgres.query_within(kHeartbeatEvery, "SELECT 1");
        collector_.look_after_members();  // also keeps a server with an idle timeout from closing the connection
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
    for (const PgNotification& notification : parts_.postgres.take_notifications())
        hear(notification);
}

void LeaderTerm::hear(const PgNotification& notification) {
    if (notification.channel != kChangedChannel) return;
    const auto change = parse_change(notification.payload);
    if (change) {
        add(*change);
    } else {
        parts_.quiet.warn("somebody sent a NOTIFY apikey_changed that is no notice; ignored");
    }
}

void LeaderTerm::add(const Change& change) {
    if (pending_.add(change)) collector_.heard(change.receipt);
    if (change.key && !postponed_.empty()) {
        // Whatever was to be tried again, this is newer.
        const auto postponed = postponed_.extract(to_hex_string(*change.key));
        if (!postponed.empty()) make_pending(postponed);
    }
    if (!pending_.has_too_many_keys()) return;
    parts_.quiet.warn("more keys have changed at once than are applied one by one: a full pass follows instead");
    for (const Receipt receipt : pending_.turn_into_full_pass())
        collector_.same_as_another(receipt);
}

void LeaderTerm::handle_key_changes() {
    while (pending_.has_keys()) {
        apply(pending_.take_keys(KeyMirror::kBatch));
        serve_clients();
    }
}

void LeaderTerm::apply(const PendingChanges::ByHash& changes) {
    std::vector<std::string_view> hashes;
    for (const auto& [hash, receipts] : changes)
        hashes.emplace_back(hash);
    const KeyBatch batch = mirror_.read(hashes);

    std::unordered_set<std::string_view> active;
    std::vector<const KeyBatch::Key*> put;
    Announcement put_announce;
    for (const KeyBatch::Key& key : batch.keys) {
        active.insert(key.hash);
        put.push_back(&key);
        append(put_announce.receipts, changes.find(key.hash)->second);
    }
    std::vector<std::string_view> gone;
    Announcement gone_announce;
    for (const auto& [hash, receipts] : changes) {
        if (active.contains(hash)) continue;
        gone.emplace_back(hash);
        append(gone_announce.receipts, receipts);
    }
    // Apart from each other: a revocation must not fail because Redis has no memory for a new key. So each has its own
    // marker, and a receipt that is in both waits for both.
    mirror_.remove(gone, std::move(gone_announce));
    if (mirror_.put(put, std::move(put_announce)) == FencedWriter::Outcome::written) return;
    for (const KeyBatch::Key* key : put) {
        const auto& [hash, receipts] = *changes.find(key->hash);
        postpone(hash, receipts);
    }
}

void LeaderTerm::postpone(const std::string& hash, const std::set<Receipt>& receipts) {
    parts_.quiet.error("Redis is full (OOM): new and changed keys wait, revocations do not; raise maxmemory");
    next_retry_ = Clock::now() + kRetryWhenFull;
    if (postponed_.size() >= kMostPostponed && !postponed_.contains(hash)) return leave_to_another_pass(receipts);
    auto& waiting = postponed_[hash];
    for (const Receipt receipt : receipts) {
        if (!waiting.insert(receipt).second) collector_.same_as_another(receipt);
    }
}

// A batch is enough to see whether there is memory again; the next one follows at once.
void LeaderTerm::retry_postponed() {
    for (int i = 0; i < KeyMirror::kBatch && !postponed_.empty(); ++i)
        make_pending(postponed_.extract(postponed_.begin()));
}

void LeaderTerm::make_pending(const PendingChanges::ByHash::node_type& postponed) {
    const auto key = from_hex(postponed.key());
    pending_.add({key, kNobodyWaits});
    for (const Receipt receipt : postponed.mapped()) {
        if (!pending_.add({key, receipt})) collector_.same_as_another(receipt);
    }
}

void LeaderTerm::leave_to_another_pass(const std::set<Receipt>& receipts) {
    another_pass_ = true;
    for (const Receipt receipt : receipts) {
        if (!another_pass_receipts_.insert(receipt).second) collector_.same_as_another(receipt);
    }
}

void LeaderTerm::make_up_for_passes() {
    if (!another_pass_ || !postponed_.empty() || pending_.has_keys()) return;
    another_pass_ = false;
    pending_.add({std::nullopt, kNobodyWaits});
    for (const Receipt receipt : std::exchange(another_pass_receipts_, {})) {
        if (!pending_.add({std::nullopt, receipt})) collector_.same_as_another(receipt);
    }
}

}  // namespace apikey
