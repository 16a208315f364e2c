#include "sidecar/usage_flusher.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/redis/backoff.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;

// A session that lasted this long was a good one: after it the first retry comes quickly again.
constexpr std::chrono::seconds kGoodSession{2};
constexpr std::chrono::seconds kStatementTimeout{60};

std::int64_t unix_ms() {
    return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Of this process only: what another one was handed stays its own until it is claimed.
std::string new_consumer() {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    return std::string(host.data()) + "-" + std::to_string(getpid()) + "-" + std::to_string(new_receipt());
}

Postgres::Options connection_options(const EventFd& stop) {
    Postgres::Options options;
    options.application = "apikeyd usage";
    options.statement_timeout = kStatementTimeout;
    options.answer_timeout = kStatementTimeout + Postgres::kLockTimeout;
    options.stop = &stop;
    options.stop_grace = UsageFlusher::kStopGrace;
    return options;
}

}  // namespace

UsageFlusher::UsageFlusher(const Settings& settings, const EventFd& stop, UsageCounts& counts)
    : settings_(settings),
      stop_(stop),
      counts_(counts),
      redis_target_(redis_target(settings)),
      names_(settings.redis_prefix),
      consumer_(new_consumer()),
      log_(counts) {}

void UsageFlusher::run() {
    redis::Backoff backoff(new_receipt());
    while (!stop_.is_set()) {
        const auto began = Clock::now();
        try {
            one_session();
        } catch (const Stopped&) {
            spdlog::debug("usage: stopping");
        } catch (const SchemaMismatch&) {
            throw;
        } catch (const std::exception& weather) {
            quiet_.warn(std::string("usage: ") + weather.what() + "; trying again");
        }
        has_pending_ = true;
        log_what_happened();
        if (Clock::now() - began > kGoodSession) backoff.reset();
        wait_readable({stop_.fd()}, milliseconds(backoff.next_ms()));
    }
}

void UsageFlusher::one_session() {
    Postgres postgres(settings_.postgres, connection_options(stop_));
    require_schema(postgres);
    UsageWriter writer(postgres, settings_);
    RedisClient redis(redis_target_);
    UsageStreamReader stream(redis, names_, consumer_);
    make_group(stream);
    serve({postgres, writer, stream});
    stream.leave();
    last_used_.move_all(postgres);
}

void UsageFlusher::serve(Links links) {
    while (!stop_.is_set()) {
        const auto began = Clock::now();
        look_around(links);
        Group group;
        const bool more = has_pending_ ? collect_pending(links, group) : collect_new(links, group);
        apply(links, group);
        if (more) continue;
        const auto next = std::chrono::ceil<milliseconds>(began + settings_.flush_interval - Clock::now());
        wait_readable({stop_.fd()}, std::max(next, milliseconds(0)));
    }
}

// A group that was there and is not: the stream was deleted or flushed, Redis lost its memory, or it is another Redis.
void UsageFlusher::make_group(UsageStreamReader& stream) {
    const bool made = stream.make_group();
    if (made && had_group_) {
        const std::string first = stream.first_id();
        spdlog::error(
            "usage_gap: {} had lost its consumer group, or was not there: the last entry read from it was {}, the "
            "first one "
            "in it now is {}. It is read from there; what was in between and not applied is lost, unless nginx sends "
            "it again",
            names_.usage, last_entry_.empty() ? "none" : last_entry_, first.empty() ? "none" : first);
    }
    had_group_ = true;
}

std::vector<std::string> UsageFlusher::pending_and_due(UsageStreamReader& stream) {
    std::vector<std::string> ids = stream.pending();
    std::erase_if(unburied_, [now = Clock::now()](const auto& each) { return now >= each.second; });
    std::erase_if(ids, [this](const std::string& id) { return unburied_.contains(id); });
    return ids;
}

bool UsageFlusher::collect_pending(Links links, Group& group) {
    const std::vector<std::string> ids = pending_and_due(links.stream);
    std::size_t at = 0;
    for (; at < ids.size() && !is_full(group); at += UsageStreamReader::kReadAtOnce) {
        auto fetched = links.stream.fetch(ids, at);
        for (UsageEntry& entry : fetched.entries)
            take_in(std::move(entry), group);
        for (UsageEntry& entry : fetched.too_large) {
            const UsageEntry& kept = group.entries.emplace_back(std::move(entry));
            group.refused.emplace_back(&kept, "it is too large: " + kept.fields.front().second + " bytes");
        }
        lose(fetched.gone);
        group.handled.insert(group.handled.end(), fetched.gone.begin(), fetched.gone.end());
    }
    has_pending_ = !ids.empty();
    return true;
}

bool UsageFlusher::collect_new(Links links, Group& group) {
    while (!is_full(group)) {
        std::vector<UsageEntry> entries = links.stream.read_new();
        if (!entries.empty()) last_entry_ = entries.back().id;
        for (UsageEntry& entry : entries)
            take_in(std::move(entry), group);
        if (entries.size() < UsageStreamReader::kReadAtOnce) return false;
    }
    return true;
}

void UsageFlusher::take_in(UsageEntry entry, Group& group) {
    const UsageEntry& kept = group.entries.emplace_back(std::move(entry));
    const auto batch = batch_of(kept);
    if (!batch) {
        group.refused.emplace_back(&kept, batch.error());
        return;
    }
    group.bytes += kept.bytes();
    group.handled.push_back(kept.id);
    if (!group.ids.insert(usage::batch_text(batch->id)).second) {
        ++counts_.duplicates;
        return;
    }
    group.rows += batch->row_count;
    group.keys += batch->key_count;
    group.batches.push_back(*batch);
}

bool UsageFlusher::is_full(const Group& group) const {
    return std::max(group.rows, group.keys) >= settings_.flush_rows || group.bytes >= kMostBytes;
}

void UsageFlusher::apply(Links links, Group& group) {
    try {
        if (!group.batches.empty()) apply_at_once(links, group.batches);
    } catch (const PostgresError& error) {
        if (!is_of_content(error.sqlstate())) throw;
        apply_one_by_one(links, group);
    }
    last_used_.move(links.postgres);
    links.stream.acknowledge(group.handled);
    for (const auto& [entry, reason] : group.refused)
        bury(links, *entry, reason);
}

// None of them is acknowledged before their keys are looked at: whoever applies them again after us does that, too.
void UsageFlusher::apply_at_once(Links links, std::span<const UsageBatch> batches) {
    count(links.writer.apply(batches), batches);
    last_used_.move_new(links.postgres);
}

// Finds who is to blame.
void UsageFlusher::apply_one_by_one(Links links, Group& group) {
    for (const UsageBatch& batch : group.batches) {
        if (stop_.is_set()) throw Stopped();
        try {
            apply_at_once(links, {&batch, 1});
        } catch (const PostgresError& error) {
            if (!is_of_content(error.sqlstate())) throw;
            group.refused.emplace_back(batch.entry, error.what());
            std::erase(group.handled, batch.entry->id);
        }
    }
}

void UsageFlusher::count(const UsageWriter::Report& report, std::span<const UsageBatch> batches) {
    counts_.batches += report.batches;
    counts_.duplicates += batches.size() - report.batches;
    counts_.rows += report.rows;
    counts_.clamped += report.clamped;
    if (report.clamped > 0) {
        quiet_.warn("usage: keys were used in the future; is nginx' clock right? Such uses count as now");
    }
    const std::int64_t now = unix_ms();
    counts_.applied_at = now;
    std::int64_t oldest = now;
    for (const UsageBatch& batch : batches)
        oldest = std::min(oldest, batch.sealed);
    counts_.lag_ms = now - oldest;
    for (const auto& [slot, holes] : report.holes)
        holes_.seen(slot, holes, Clock::now());
}

void UsageFlusher::bury(Links links, const UsageEntry& entry, const std::string& reason) {
    using Outcome = UsageStreamReader::Burial::Outcome;
    const auto [outcome, why] = links.stream.bury(entry, reason);
    std::string what_happens = " put into " + names_.usage_dead;
    if (outcome == Outcome::dropped) what_happens = " dropped, since " + names_.usage_dead + " is full";
    if (outcome == Outcome::refused)
        what_happens = " left in " + names_.usage + ", since " + names_.usage_dead + " does not take it (" + why + ")";
    quiet_.error("usage: a batch is refused for its content and" + what_happens,
                 "usage: the entry " + entry.id + " is refused for its content and" + what_happens + ": " + reason);
    if (outcome == Outcome::refused) {
        unburied_[entry.id] = Clock::now() + kBuryAgain;
        if (unburied_.size() > kMostUnburied) throw RedisError("too many entries can neither be applied nor put aside");
        return;
    }
    ++(outcome == Outcome::buried ? counts_.dead : counts_.dropped);
    unburied_.erase(entry.id);
}

void UsageFlusher::lose(const std::vector<std::string>& ids) {
    if (ids.empty()) return;
    counts_.lost += ids.size();
    spdlog::error(
        "usage_gap: {} entries were taken out of {} before they were applied, the first {}, the last {}; they are "
        "lost, unless nginx sends them again",
        ids.size(), names_.usage, ids.front(), ids.back());
}

void UsageFlusher::look_around(Links links) {
    const auto now = Clock::now();
    if (now >= next_claim_) {
        claim(links);
        next_claim_ = now + kClaimEvery;
    }
    if (now >= next_forget_) {
        links.stream.forget_dead_consumers();
        next_forget_ = now + kForgetEvery;
    }
    has_pending_ |=
        std::any_of(unburied_.begin(), unburied_.end(), [now](const auto& each) { return now >= each.second; });
    if (now >= next_log_) {
        log_what_happened();
        next_log_ = now + kLogEvery;
    }
}

void UsageFlusher::claim(Links links) {
    const auto claimed = links.stream.claim();
    lose(claimed.gone);
    if (claimed.count == 0) return;
    has_pending_ = true;
    if (claimed.count <= unburied_.size()) return;  // our own, which are known
    spdlog::info(
        "usage: {} entries taken up, which an apikeyd, perhaps this one, was handed and has done nothing with for {} s",
        claimed.count, std::chrono::duration_cast<std::chrono::seconds>(UsageStreamReader::kClaimAfter).count());
}

void UsageFlusher::log_what_happened() {
    if (const std::string line = log_.take_line(); !line.empty()) spdlog::info("{}", line);
    for (const UsageHole& hole : holes_.take_overdue(Clock::now())) {
        spdlog::warn(
            "usage_gap: batches {} to {} of slot {} of the zone {} have not come in {} minutes, while later ones have",
            hole.first, hole.last, hole.of.slot, hole.of.zone, UsageHoles::kPatience.count());
    }
}

}  // namespace apikey
