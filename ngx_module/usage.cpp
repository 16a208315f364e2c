#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/usage.hpp"

#include <unistd.h>

#include <algorithm>

#include "ngx_module/clock.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

ngx_uint_t worker_processes() noexcept {
    const auto* conf = reinterpret_cast<const ngx_core_conf_t*>(ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module));
    return static_cast<ngx_uint_t>(std::max<ngx_int_t>(conf->worker_processes, 1));
}

}  // namespace

using Added = usage::UsageSlot::Added;

Usage::Usage(const MainConf& conf, RedisLink& link, KeyZone& zone)
    : interval_(conf.usage_interval),
      link_(link),
      zone_(zone),
      slots_(*conf.zone),
      own_(std::make_unique<SlotSource>(slots_.take_own())),
      timer_(*this, &Usage::on_time, "usage timer"),
      filled_(*this, &Usage::on_filled, "usage slot was full") {
    if (conf.spool.len != 0) spool_ = std::make_unique<UsageSpool>(std::string(view(conf.spool)));
    link_.add_listener(*this);
    generation_ = link_.usage_generation();
}

Usage::~Usage() {
    link_.remove_listener(*this);
}

void Usage::start() {
    // A dead worker's, with what that left.
    if (own_->slot().has_rows() || own_->first() != own_->end()) ++zone_.counters().usage_slots_adopted;
    if (own_->is_private()) {
        ngx_log_error(
            NGX_LOG_WARN, ngx_cycle->log, 0,
            "api_key: api_key_zone has no room for the usage of this worker, since it is too small or older workers "
            "still have it; until there is, usage is lost if the worker is killed; where this stays so, make the zone "
            "larger");
    }
    if (spool_ != nullptr && access(spool_->folder().c_str(), R_OK | W_OK | X_OK) != 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "api_key: api_key_spool: the user of the workers may not read and write \"%s\"; usage that Redis "
                      "does not take would be lost; make that user its owner",
                      spool_->folder().c_str());
    }
    timer_.set(interval_);
    show();
}

void Usage::on_time() {
    timer_.set(interval_);  // first: whatever is thrown below, there is a next time
    refused_ = stuck_ = false;
    if (ngx_current_msec >= next_adoption_) {
        next_adoption_ = ngx_current_msec + kAdoptionInterval;
        adopt();
    }
    move_to_better_slot();
    if (own_->slot().is_backed_up()) hold_taken(*own_);
    if (own_->slot().has_rows() && (!own_->slot().is_backed_up() || own_->slot().is_crowded())) seal_whatever(*own_);
    if (ngx_current_msec >= next_look_) {
        next_look_ = ngx_current_msec + kLookInterval;
        spool_has_more_ = true;
        look_at_stream();
    }
    if (spool_has_more_) look_into_spool();
    ship();
    give_back();
    show();
}

void Usage::on_filled() {
    ship();
}

// What was thrown may have left a question without its answer, or the other way round.
void Usage::on_exception() noexcept {
    link_.give_up();
    if (!timer_.is_set()) timer_.set(interval_);
}

// `record`: null where only last_used is kept.
void Usage::count_rare(const usage::KeyUse& use, const usage::Record* record,
                       usage::UsageSlot::Addition done) noexcept {
    Counters& counters = zone_.counters();
    if (done.added == Added::full && make_room())
        done = record != nullptr ? own_->slot().add(*record) : own_->slot().touch(use);
    if (done.added == Added::full)
        return report_lost("there is no room for it in the zone, and Redis does not take it");
    if (done.added == Added::too_long) return report_lost("the id of its key or user is too long");
    ++counters.usage_requests;
    if (done.other) ++counters.usage_other_labels;
    if (done.saturated) ++counters.usage_saturated;
}

void Usage::report_lost(const char* why) noexcept {
    ++zone_.counters().usage_lost;
    guarded(ngx_cycle->log, "lost usage", false, [&] {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::usage_lost, std::string("the usage of a request is lost: ") + why);
        return true;
    });
}

// A request needs a row, and there is none: now, whatever it takes. But not for each request again where it was in vain,
// since to find that out means to write all rows.
bool Usage::make_room() noexcept {
    if (stuck_) return false;
    const bool sealed = guarded(ngx_cycle->log, "full usage slot", false, [this] { return seal_whatever(*own_); });
    stuck_ = !sealed;
    if (sealed) filled_.post();
    return sealed;
}

bool Usage::seal(SlotSource& source) {
    const std::uint64_t before = source.end();
    if (!source.slot().seal(unix_ms())) return false;
    zone_.counters().usage_batches_sealed += source.end() - before;
    return true;
}

// Where the ring is full, what Redis has taken makes room; then, while Redis takes nothing, the oldest batches go to the spool,
// the first half or all.
bool Usage::seal_whatever(SlotSource& source) {
    if (source.slot().is_backed_up()) hold_taken(source);  // to seal in vain means to write all rows
    if (seal(source)) return true;
    hold_taken(source);
    if (seal(source)) return true;
    const std::uint64_t half = source.first() + (source.end() - source.first() + 1) / 2;
    if (!spool(source, half)) return false;
    return seal(source) || (spool(source, source.end()) && seal(source));
}

// Batches that Redis has taken, and may still lose for some seconds, leave the ring.
void Usage::hold_taken(SlotSource& source) {
    for (std::uint64_t number = source.first(); number < source.shipment().taken(); ++number) {
        if (!held_.hold(source.entry(number), turn_began())) ++zone_.counters().usage_batches_hurried;
        source.free(number + 1);
    }
}

// One by one: what throws meanwhile leaves a slot to nobody, and it is found again.
void Usage::adopt() {
    while (auto slot = slots_.take_dead()) {
        adopted_.push_back(std::make_unique<SlotSource>(std::move(*slot)));
        ++zone_.counters().usage_slots_adopted;
    }
    slots_.note_dead();
}

// Memory of its own dies with the worker: a slot of the zone is better as soon as there is one, even with what another left.
// And a larger one is better than one that was made when there was little room.
void Usage::move_to_better_slot() {
    auto better = adopted_.end();
    if (own_->is_private())
        better = std::find_if(adopted_.begin(), adopted_.end(), [](const auto& each) { return !each->is_private(); });
    if (better == adopted_.end()) {
        auto slot = slots_.take_larger(own_->zone_bytes());
        if (!slot) return;
        better = adopted_.insert(better, std::make_unique<SlotSource>(std::move(*slot)));
    }
    std::swap(own_, *better);  // what was counted there is shipped like what others left
}

// Slots that others left are done with when they are empty: where a reload would find too few, as soon as Redis has taken all.
void Usage::give_back() {
    const bool are_scarce = !adopted_.empty() && slots_.are_scarce(worker_processes());
    for (const auto& source : adopted_) {
        if (source->slot().has_rows()) seal_whatever(*source);
        if (are_scarce) hold_taken(*source);
    }
    std::erase_if(adopted_, [this](const std::unique_ptr<SlotSource>& source) {
        const auto is_its = [&](const Sent& sent) { return sent.source == source.get(); };
        if (source->slot().has_rows() || source->first() != source->end()) return false;
        if (std::any_of(under_way_.begin(), under_way_.end(), is_its)) return false;  // what was spooled meanwhile
        source->slot().release();
        return true;
    });
}

}  // namespace apikey::ngx
