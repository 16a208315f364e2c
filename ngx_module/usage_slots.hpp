// The slots of the zone in which workers count usage: who owns which. Not tied to worker_processes: old workers drain
// beside new ones, and what a dead one left is taken over by whoever sees it first.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/usage/usage_slot.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

struct ZoneHeader;
struct SlotNode;

// One slot that this process owns.
struct OwnedSlot {
    usage::UsageSlot slot;
    std::string zone;  // of its batches' ids: 32 hex digits
    std::uint64_t number = 0;
    std::size_t bytes = 0;         // of the zone; 0: it has memory of its own
    std::shared_ptr<void> memory;  // where it is of this process alone, and dies with it; null: in the zone
};

class UsageSlots {
  public:
    // `zone` outlives it: the cycle's. Make it in the worker.
    explicit UsageSlots(ngx_shm_zone_t& zone) noexcept;

    // A slot for this worker: one whose owner is dead, with what that left, one that is free, or a new one. Where the zone
    // has no room, memory of this process. Throws std::bad_alloc.
    OwnedSlot take_own();
    // A slot with something in it that nobody has, or whose owner was dead already when note_dead() was last called; now this
    // worker's. Throws std::bad_alloc, and then it is nobody's.
    std::optional<OwnedSlot> take_dead();
    // Whose owners are dead now. A killed worker's successor, which takes its slot by itself, gets that long to start: else one
    // that dies again and again would leave a slot each time. Throws std::bad_alloc.
    void note_dead();
    // A slot of the zone that is free and has more than so many bytes, or where that is 0, a new one; nothing: there is none.
    // Throws std::bad_alloc.
    std::optional<OwnedSlot> take_larger(std::size_t bytes);
    // Workers that start now would find fewer than `wanted` slots in the zone, free ones or new ones.
    [[nodiscard]] bool are_scarce(ngx_uint_t wanted) const noexcept;

  private:
    SlotNode* take_free(std::size_t more_than) noexcept;
    [[nodiscard]] ngx_uint_t new_slot_pages(ngx_uint_t pages_free) const noexcept;
    SlotNode* make_slot() noexcept;
    // A slot with something in it that nobody has, or whose owner is dead, and `may_take` of it.
    template <class MayTake>
    SlotNode* take_next_dead(MayTake may_take) noexcept;
    OwnedSlot owned(const SlotNode& node) const;
    OwnedSlot private_slot() const;

    ngx_slab_pool_t& pool_;
    ZoneHeader& header_;
    usage::Owner me_;
    std::vector<usage::Owner> dead_;  // when note_dead() was last called
};

}  // namespace apikey::ngx
