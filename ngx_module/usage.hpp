// A worker's usage: what its requests were for is counted in its slot of the zone, sealed into batches, and shipped to
// Redis until it is safe there (DESIGN §4.8).
//
//   count() ─▶ slot ─(timer)─▶ batches ─▶ XADD on the connection for lookups ─▶ answered, and 3 s later freed
//                                 ├─ Redis away: rows merge in the slot; ring full: the spool
//                                 └─ worker killed: another worker takes the slot over
//
// Nothing in here makes a request wait or fail. What Redis refuses is kept and sent again.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "core/usage/usage_slot.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/fault_log.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/redis_link.hpp"
#include "ngx_module/usage_slots.hpp"
#include "ngx_module/usage_source.hpp"
#include "ngx_module/usage_spool.hpp"
#include "ngx_module/worker_event.hpp"

namespace apikey::ngx {

class Usage final : private RedisLink::Listener {
  public:
    // `link` and `zone` outlive it. Throws std::bad_alloc.
    Usage(const MainConf& conf, RedisLink& link, KeyZone& zone);
    ~Usage();
    Usage(const Usage&) = delete;
    Usage& operator=(const Usage&) = delete;

    // Begins to ship.
    void start();
    // The worker exits: no event will come any more. Ships what there is, waits for Redis for less than a second, and
    // spools what is not safe then.
    void stop();

    // Counts one request. The hot path: nothing but stores in the slot, unless that is full.
    void count(const usage::Record& record) noexcept {
        const usage::UsageSlot::Addition done = own_->slot().add(record);
        if (done.added == usage::UsageSlot::Added::counted && !done.other && !done.saturated) {
            ++zone_.counters().usage_requests;
        } else {
            count_rare(record, &record, done);
        }
    }
    // The same where api_key_usage is off.
    void touch(const usage::KeyUse& use) noexcept {
        const usage::UsageSlot::Added added = own_->slot().touch(use);
        if (added == usage::UsageSlot::Added::counted) {
            ++zone_.counters().usage_requests;
        } else {
            count_rare(use, nullptr, added);
        }
    }

    // A request will be counted: see UsageSlot::prefetch_index().
    [[nodiscard]] const usage::UsageSlot& slot() const noexcept { return own_->slot(); }

  private:
    static constexpr ngx_msec_t kAdoptionInterval = 1000;
    static constexpr ngx_msec_t kLookInterval = 5000;  // into the spool, and at the stream
    static constexpr ngx_msec_t kFarewell = 800;       // less where there is a spool
    static constexpr ngx_msec_t kSpoolFarewell = 300;

    friend class WorkerEvent<Usage>;
    // RedisLink::Listener
    void on_link_read() override;
    void on_link_down() override;

    void on_time();
    void on_filled();
    void on_exception() noexcept;

    // usage.cpp: counting and sealing.
    void count_rare(const usage::KeyUse& use, const usage::Record* record, usage::UsageSlot::Addition done) noexcept;
    [[nodiscard]] bool make_room() noexcept;
    bool seal(SlotSource& source);
    bool seal_whatever(SlotSource& source);
    void hold_taken(SlotSource& source);
    void adopt();
    void move_to_better_slot();
    void give_back();
    void report_lost(const char* why) noexcept;

    // usage_shipping.cpp: to Redis, or to the spool.
    void ship();
    void ship_from(UsageSource& source);
    void take_answers();
    void free_settled();
    bool spool(UsageSource& source, std::uint64_t end);
    void look_into_spool();
    void look_at_stream();
    void take_look();
    void keep_what_is_left();
    void show() noexcept;
    void wait_for_redis(ngx_msec_t most);
    [[nodiscard]] bool all_taken();
    template <class Visit>
    void for_each_source(Visit visit);

    struct Sent {
        UsageSource* source;
        std::uint64_t number;
    };

    const ngx_msec_t interval_;
    RedisLink& link_;
    KeyZone& zone_;
    FaultLog faults_;
    UsageSlots slots_;
    std::unique_ptr<SlotSource> own_;
    std::vector<std::unique_ptr<SlotSource>> adopted_;
    HeldSource held_;
    std::unique_ptr<UsageSpool> spool_;  // null: none

    std::deque<Sent> under_way_;    // on this connection, in the order of their answers
    std::uint64_t generation_ = 0;  // of the link, when it was last looked at
    bool refused_ = false;          // by Redis: nothing more is sent until the timer fires
    bool wary_ = false;             // since then: one is tried before the others follow
    bool spool_has_more_ = false;   // perhaps
    bool stuck_ = false;            // no room can be made before Redis takes something, or the timer fires
    ngx_msec_t next_adoption_ = 0;
    ngx_msec_t next_look_ = 0;
    std::vector<redis::LookupSession::Shipped> answers_;  // scratch

    WorkerEvent<Usage> timer_;
    WorkerEvent<Usage> filled_;
};

}  // namespace apikey::ngx
