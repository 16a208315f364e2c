#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/usage.hpp"

#include <algorithm>

#include "ngx_module/clock.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

using Added = usage::UsageSlot::Added;

Usage::Usage(const MainConf& conf, RedisLink& link, KeyZone& zone)
    : interval_(conf.usage_interval),
      link_(link),
      zone_(zone),
      slots_(*conf.zone),
      own_(std::make_unique<SlotSource>(slots_.take_own())),
      timer_(*this, &Usage::on_time, "usage timer"),
      crowded_(*this, &Usage::on_crowded, "usage slot is crowded") {
    if (conf.spool.len != 0) spool_ = std::make_unique<UsageSpool>(std::string(view(conf.spool)));
    link_.add_listener(*this);
    generation_ = link_.usage_generation();
}

Usage::~Usage() {
    link_.remove_listener(*this);
}

void Usage::start() {
    if (own_->is_private()) {
        ngx_log_error(
            NGX_LOG_WARN, ngx_cycle->log, 0,
            "api_key: api_key_zone has no slot for the usage of this worker, because older workers still have "
            "them or it is too small; until there is one, usage would be lost if the worker were killed");
    }
    timer_.set(interval_);
    show();
}

void Usage::on_time() {
    timer_.set(interval_);  // first: whatever is thrown below, there is a next time
    refused_ = false;
    adopt();
    move_into_zone();
    if (own_->slot().has_rows() && (!own_->slot().is_backed_up() || own_->slot().is_crowded())) seal_or_spool(*own_);
    if (ngx_current_msec >= next_look_) {
        next_look_ = ngx_current_msec + kLookInterval;
        look_into_spool();
        look_at_stream();
    } else if (spool_ != nullptr && spool_->has_more()) {
        look_into_spool();
    }
    ship();
    give_back();
    show();
}

void Usage::on_crowded() {
    if (!own_->slot().is_crowded()) return;
    seal_or_spool(*own_);
    ship();
}

void Usage::on_exception() noexcept {
    if (!timer_.is_set()) timer_.set(interval_);
}

void Usage::count_rare(const usage::Record& record, usage::UsageSlot::Addition done) noexcept {
    Counters& counters = zone_.counters();
    if (done.added == Added::full && make_room()) done = own_->slot().add(record);
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

// A request needs a row, and there is none: now, whatever it takes.
bool Usage::make_room() noexcept {
    return guarded(ngx_cycle->log, "full usage slot", false, [this] {
        const bool sealed = seal_or_spool(*own_);
        if (sealed) crowded_.post();
        return sealed;
    });
}

bool Usage::seal(SlotSource& source) {
    const std::uint64_t before = source.end();
    if (!source.slot().seal(unix_ms())) return false;
    zone_.counters().usage_batches_sealed += source.end() - before;
    return true;
}

// Where the ring is full, its oldest batches make room: the first half, or all.
bool Usage::seal_or_spool(SlotSource& source) {
    if (seal(source)) return true;
    const std::uint64_t half = source.first() + (source.end() - source.first() + 1) / 2;
    if (!spool(source, half)) return false;
    return seal(source) || (spool(source, source.end()) && seal(source));
}

void Usage::adopt() {
    for (OwnedSlot& slot : slots_.take_dead())
        adopt(std::move(slot));
}

void Usage::adopt(OwnedSlot slot) {
    adopted_.push_back(std::make_unique<SlotSource>(std::move(slot)));
    ++zone_.counters().usage_slots_adopted;
}

// Memory of its own dies with the worker. A slot of the zone is better as soon as there is one, even with what another left.
void Usage::move_into_zone() {
    if (!own_->is_private()) return;
    auto better = std::find_if(adopted_.begin(), adopted_.end(), [](const auto& each) { return !each->is_private(); });
    if (better == adopted_.end()) {
        auto slot = slots_.take_from_zone();
        if (!slot) return;
        better = adopted_.insert(better, std::make_unique<SlotSource>(std::move(*slot)));
    }
    std::swap(own_, *better);  // what was counted outside is shipped like what others left
}

// Slots that others left are done with when they are empty.
void Usage::give_back() {
    for (const auto& source : adopted_) {
        if (source->slot().has_rows()) seal_or_spool(*source);
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
