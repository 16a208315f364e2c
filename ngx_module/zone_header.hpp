// How the shared zone begins, for those who lay it out (key_zone.cpp) and those who own a part of it (usage_slots.cpp).
// Plain data; pointers into the zone are the same in every process, since they are forked from the master that mapped it.
// Lists only grow, at their head, under the zone's mutex.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/counters.hpp"
#include "core/coverage.hpp"
#include "core/metrics.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

struct CounterBlock {
    CounterBlock* next;
    std::atomic<ngx_pid_t> owner;  // 0: nobody's
    Counters counters;
};

struct SlotNode {
    SlotNode* next;
    std::uint64_t number;  // in the ids of its batches
    void* memory;          // a usage::UsageSlot's
    std::size_t bytes;
};

// 128 random bits, in hex: of the zone in the ids of its batches.
using ZoneId = std::array<char, 32>;
// False: the system has none to give.
[[nodiscard]] bool make_zone_id(ZoneId& id) noexcept;  // key_zone.cpp

struct ZoneHeader {
    void* cache;  // KeyCache's memory
    std::size_t cache_bytes;
    Coverage coverage;
    std::atomic<CounterBlock*> counters;

    ZoneId id;
    std::size_t slot_bytes;  // of each slot, where there is room; 0: the zone is too small for any
    std::atomic<SlotNode*> slots;
    UsageStream stream;  // what a worker has last seen of it; each word through std::atomic_ref
};

}  // namespace apikey::ngx
