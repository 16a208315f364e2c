// Usage's way to Redis, and to the spool where there is none.
#include "ngx_module/ngx.hpp"
// nginx first
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "core/usage/stream_look.hpp"
#include "ngx_module/clock.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/usage.hpp"

namespace apikey::ngx {

template <class Visit>
void Usage::for_each_source(Visit visit) {
    visit(*own_);
    for (const auto& source : adopted_)
        visit(*source);
    visit(held_);
    if (spool_ != nullptr) visit(*spool_);
}

// --- to Redis ----------------------------------------------------------------------------------------------------

void Usage::ship() {
    for_each_source([this](UsageSource& source) { ship_from(source); });
}

void Usage::ship_from(UsageSource& source) {
    while (const auto number = source.shipment().next(source.end())) {
        if (refused_ || (wary_ && !under_way_.empty())) return;
        under_way_.push_back({&source, *number});  // first: what throws later ends the connection
        if (!link_.ship(source.entry(*number), *number)) return under_way_.pop_back();
        source.shipment().sent(*number);
    }
}

void Usage::on_link_down() {
    link_.take_shipped(answers_);  // they were sent on a connection that is no more
    answers_.clear();
    under_way_.clear();
    std::uint64_t repeated = 0;
    for_each_source([&](UsageSource& source) { repeated += source.shipment().disconnected(); });
    zone_.counters().usage_batches_repeated += repeated;
    generation_ = link_.usage_generation();
}

void Usage::on_link_read() {
    take_answers();
    if (const std::uint64_t now = link_.usage_generation(); now != std::exchange(generation_, now)) {
        for_each_source(
            [&](UsageSource& source) { zone_.counters().usage_batches_repeated += source.shipment().lost(); });
    }
    free_settled();
    take_look();
    ship();
}

void Usage::take_answers() {
    link_.take_shipped(answers_);
    for (const auto& answer : answers_) {
        // They come in the order of what was sent; else the connection is of no use any more.
        if (under_way_.empty() || under_way_.front().number != answer.cookie)
            throw std::logic_error("an answer too many");
        const Sent sent = under_way_.front();
        under_way_.pop_front();
        sent.source->shipment().answered(sent.number, answer.taken, turn_began());
        wary_ = !answer.taken;
        refused_ = refused_ || wary_;
        if (!answer.taken) continue;
        ++zone_.counters().usage_batches_taken;
        stuck_ = false;
    }
    answers_.clear();
}

void Usage::free_settled() {
    const redis::Millis heard = link_.last_heard();
    for_each_source([&](UsageSource& source) {
        const std::uint64_t end = source.shipment().settled(heard);
        if (end == source.first()) return;
        if (&source == spool_.get()) zone_.counters().usage_batches_replayed += end - source.first();
        source.free(end);
        stuck_ = false;
    });
}

// --- to the spool ------------------------------------------------------------------------------------------------

// Batches below `end`. False: they are not all there for sure, and stay where they are.
bool Usage::spool(UsageSource& source, std::uint64_t end) {
    if (spool_ == nullptr) return false;
    if (source.first() == end) return true;
    std::optional<std::string> failed;
    for (std::uint64_t number = source.first(); number < end && !failed; ++number)
        failed = spool_->write(source.entry(number));
    if (!failed) failed = spool_->sync();
    if (failed) {
        ++zone_.counters().usage_spool_failures;
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::spool, "api_key_spool: " + *failed);
        return false;
    }
    zone_.counters().usage_batches_spooled += end - source.first();
    source.free(end);
    return true;
}

void Usage::look_into_spool() {
    spool_has_more_ = false;
    if (spool_ == nullptr || !link_.is_up()) return;
    const UsageSpool::Found found = spool_->look();
    spool_has_more_ = found.more;
    if (found.problem.empty()) return;
    ++zone_.counters().usage_spool_failures;
    faults_.report(NGX_LOG_ERR, FaultLog::Kind::spool, "api_key_spool: " + found.problem);
}

// --- for those who watch ------------------------------------------------------------------------------------------

// One worker's look is enough for all.
void Usage::look_at_stream() {
    UsageStream stream = zone_.usage_stream();
    const std::int64_t now = unix_ms();
    if (now - stream.asked < static_cast<std::int64_t>(kLookInterval) && now >= stream.asked) return;
    stream.asked = now;
    zone_.set_usage_stream(stream);
    link_.ask_usage_state();
}

void Usage::take_look() {
    const auto state = link_.take_usage_state();
    if (!state) return;
    const Counters all = zone_.counters_of_all();
    zone_.set_usage_stream(usage::after_look(zone_.usage_stream(), {.entries = state->entries,
                                                                    .dead = state->dead,
                                                                    .oldest_pending = state->oldest_pending,
                                                                    .added = all.usage_batches_taken,
                                                                    .workers = all.gauges.workers,
                                                                    .now = unix_ms()}));
}

void Usage::show() noexcept {
    auto& gauges = zone_.counters().gauges;
    gauges.usage_slots = 1 + adopted_.size();
    gauges.private_slots = own_->is_private() ? 1 : 0;
    gauges.usage_batches = own_->end() - own_->first();
    for (const auto& source : adopted_) {
        gauges.private_slots += source->is_private() ? 1 : 0;
        gauges.usage_batches += source->end() - source->first();
    }
    gauges.spool_files = spool_ != nullptr ? spool_->end() - spool_->first() : 0;
}

// --- the end -----------------------------------------------------------------------------------------------------

bool Usage::all_taken() {
    bool all = true;
    for_each_source([&](UsageSource& source) { all = all && source.shipment().all_taken(source.end()); });
    return all;
}

void Usage::wait_for_redis(ngx_msec_t most) {
    ngx_time_update();
    const ngx_msec_t give_up = ngx_current_msec + most;
    ship();
    link_.flush();
    while (link_.is_up() && !refused_ && !all_taken() && ngx_current_msec < give_up) {
        if (!link_.wait_for_bytes(give_up - ngx_current_msec)) break;
        ngx_time_update();
        link_.flush();
    }
}

void Usage::stop() {
    timer_.cancel();
    filled_.cancel();
    link_.stop_serving();
    adopt();
    seal_whatever(*own_);
    for (const auto& source : adopted_)
        seal_whatever(*source);
    if (!all_taken()) wait_for_redis(spool_ != nullptr ? kSpoolFarewell : kFarewell);
    keep_what_is_left();
}

// Also what Redis has taken goes to the spool, since nobody will see whether it stays there.
void Usage::keep_what_is_left() {
    std::uint64_t left = 0;
    const auto keep = [&](UsageSource& source) {
        const bool is_safe = source.shipment().all_taken(source.end());
        if (!spool(source, source.end()) && !is_safe) left += source.end() - source.first();
    };
    keep(held_);
    const auto keep_slot = [&](SlotSource& source) {
        keep(source);
        if (source.slot().has_rows()) ++left;  // for which its ring had no room
        source.slot().release();               // also with something in it: whoever looks takes it at once
    };
    keep_slot(*own_);
    for (const auto& source : adopted_)
        keep_slot(*source);
    if (left == 0) return;
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "api_key: Redis has not taken %uL batches of usage before this worker ended; %s", left,
                  own_->is_private()
                      ? "they are lost, since api_key_zone had no room for them; api_key_spool would keep them"
                      : "the next worker that uses this zone sends them, but where none follows they are "
                        "lost; api_key_spool would keep them");
}

}  // namespace apikey::ngx
