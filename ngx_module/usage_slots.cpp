#include "ngx_module/usage_slots.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "ngx_module/process_identity.hpp"
#include "ngx_module/zone_header.hpp"

namespace apikey::ngx {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kPrivateBytes = 1 << 20;
constexpr ngx_uint_t kPagesLeft = 1;  // for workers' counters, which are made while nginx runs, too

bool holds_something(const usage::UsageSlot& slot) noexcept {
    return slot.has_rows() || slot.first() != slot.next();
}

}  // namespace

UsageSlots::UsageSlots(ngx_shm_zone_t& zone) noexcept
    : pool_(*reinterpret_cast<ngx_slab_pool_t*>(zone.shm.addr)),
      header_(*static_cast<ZoneHeader*>(zone.data)),
      me_(this_process()) {}

// The dead one's first: a worker that dies again and again needs no more than the slot of one, however long Redis is away.
OwnedSlot UsageSlots::take_own() {
    SlotNode* node = take_next_dead([](usage::Owner) noexcept { return true; });
    if (node == nullptr) node = take_free(0);
    if (node == nullptr) node = make_slot();
    return node != nullptr ? owned(*node) : private_slot();
}

std::optional<OwnedSlot> UsageSlots::take_dead() {
    const SlotNode* node = take_next_dead(
        [this](usage::Owner dead) noexcept { return std::find(dead_.begin(), dead_.end(), dead) != dead_.end(); });
    if (node == nullptr) return std::nullopt;
    try {
        return owned(*node);
    } catch (...) {
        usage::UsageSlot(node->memory).release();
        throw;
    }
}

void UsageSlots::note_dead() {
    dead_.clear();
    for (const SlotNode* node = header_.slots.load(std::memory_order_acquire); node != nullptr; node = node->next) {
        const usage::Owner owner = usage::UsageSlot(node->memory).owner();
        if (owner != 0 && owner != me_ && !is_running(owner)) dead_.push_back(owner);
    }
}

std::optional<OwnedSlot> UsageSlots::take_larger(std::size_t bytes) {
    SlotNode* node = take_free(bytes);
    if (node == nullptr && bytes == 0) node = make_slot();
    if (node == nullptr) return std::nullopt;
    return owned(*node);
}

bool UsageSlots::are_scarce(ngx_uint_t wanted) const noexcept {
    ngx_shmtx_lock(&pool_.mutex);
    ngx_uint_t pages_free = pool_.pfree;
    ngx_shmtx_unlock(&pool_.mutex);
    ngx_uint_t found = 0;
    while (const ngx_uint_t pages = found < wanted ? new_slot_pages(pages_free) : 0) {
        pages_free -= pages;
        ++found;
    }
    for (const SlotNode* node = header_.slots.load(std::memory_order_acquire); node != nullptr; node = node->next) {
        if (usage::UsageSlot(node->memory).owner() == 0) ++found;
    }
    return found < wanted;
}

// The largest.
SlotNode* UsageSlots::take_free(std::size_t more_than) noexcept {
    for (;;) {
        SlotNode* found = nullptr;
        std::size_t most = more_than;
        for (SlotNode* node = header_.slots.load(std::memory_order_acquire); node != nullptr; node = node->next) {
            if (node->bytes <= most || usage::UsageSlot(node->memory).owner() != 0) continue;
            found = node;
            most = node->bytes;
        }
        if (found == nullptr || usage::UsageSlot(found->memory).take(0, me_)) return found;
    }
}

// Workers that drain, and what dead ones left while Redis is away, may hold more slots than were planned: no slot takes more
// than half of what is left, since a small one in the zone is better than a large one that dies with its worker.
ngx_uint_t UsageSlots::new_slot_pages(ngx_uint_t pages_free) const noexcept {
    constexpr ngx_uint_t kFewestSize = usage::UsageSlot::kFewestBytes;
    if (header_.slot_bytes == 0 || pages_free < kFewestSize / ngx_pagesize + kPagesLeft) return 0;
    const ngx_uint_t half = (pages_free - kPagesLeft) / 2;
    return std::clamp<ngx_uint_t>(half, kFewestSize / ngx_pagesize, header_.slot_bytes / ngx_pagesize);
}

SlotNode* UsageSlots::make_slot() noexcept {
    ngx_shmtx_lock(&pool_.mutex);
    auto* node = static_cast<SlotNode*>(ngx_slab_calloc_locked(&pool_, sizeof(SlotNode)));
    std::size_t bytes = new_slot_pages(pool_.pfree) * ngx_pagesize;
    void* memory = nullptr;
    for (; node != nullptr && bytes >= usage::UsageSlot::kFewestBytes; bytes /= 2) {
        memory = ngx_slab_alloc_locked(&pool_, bytes);
        if (memory != nullptr) break;  // else the free pages do not lie together
    }
    if (memory != nullptr && usage::UsageSlot::create(memory, bytes)) {
        SlotNode* const head = header_.slots.load(std::memory_order_relaxed);
        usage::UsageSlot(memory).take(0, me_);
        *node = {head, head != nullptr ? head->number + 1 : 0, memory, bytes};
        header_.slots.store(node, std::memory_order_release);  // others walk the list without the mutex
    } else if (node != nullptr) {
        ngx_slab_free_locked(&pool_, node);
        node = nullptr;
    }
    ngx_shmtx_unlock(&pool_.mutex);
    return node;
}

template <class MayTake>
SlotNode* UsageSlots::take_next_dead(MayTake may_take) noexcept {
    for (SlotNode* node = header_.slots.load(std::memory_order_acquire); node != nullptr; node = node->next) {
        usage::UsageSlot slot(node->memory);
        const usage::Owner owner = slot.owner();
        if (owner == 0 ? !holds_something(slot) : owner == me_ || is_running(owner) || !may_take(owner)) continue;
        if (slot.take(owner, me_)) return node;
    }
    return nullptr;
}

OwnedSlot UsageSlots::owned(const SlotNode& node) const {
    OwnedSlot taken{
        usage::UsageSlot(node.memory), std::string(header_.id.data(), header_.id.size()), node.number, node.bytes, {}};
    taken.slot.recover();
    return taken;
}

OwnedSlot UsageSlots::private_slot() const {
    std::shared_ptr<void> memory(std::aligned_alloc(kAlignment, kPrivateBytes), std::free);
    if (memory == nullptr || !usage::UsageSlot::create(memory.get(), kPrivateBytes)) throw std::bad_alloc();
    ZoneId id;
    if (!make_zone_id(id)) throw std::bad_alloc();
    OwnedSlot taken{usage::UsageSlot(memory.get()), std::string(id.data(), id.size()), 0, 0, memory};
    taken.slot.take(0, me_);
    taken.slot.recover();
    return taken;
}

}  // namespace apikey::ngx
