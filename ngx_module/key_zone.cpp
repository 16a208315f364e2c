#include "ngx_module/key_zone.hpp"

#include <openssl/rand.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/usage/usage_slot.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/zone_header.hpp"

namespace apikey::ngx {

namespace {

constexpr const char* kForm = "write api_key_zone name:size, for example api_key_zone keys:8m;";
constexpr ngx_uint_t kFewestPages = 16;
// Changes with every change of ZoneHeader or of what it points to. (A test builds the module with another one.)
#ifndef APIKEY_ZONE_LAYOUT
#define APIKEY_ZONE_LAYOUT 7
#endif
constexpr std::uint32_t kLayout = APIKEY_ZONE_LAYOUT + (KeyCache::kLayout << 8U) + (usage::UsageSlot::kLayout << 16U);
// The share of the zone in which usage waits for Redis; in a small zone more, for two small slots for each processor.
constexpr ngx_uint_t kUsageShare = 16;
constexpr ngx_uint_t kMostUsageShare = 4;
constexpr std::size_t kSmallSlotBytes = std::size_t{48} << 10;
constexpr std::size_t kMostSlotBytes = std::size_t{8} << 20;
// Left to what else is made while nginx runs: a block of counters per worker.
constexpr ngx_uint_t kReservedShare = 128;
constexpr ngx_uint_t kFewestReservedPages = 4;
constexpr int kSpins = 2000;  // some 10 microseconds; the mutex is held for less
constexpr int kLockAttempts = 8;

bool is_alive(ngx_pid_t pid) noexcept {
    return pid != 0 && (kill(pid, 0) == 0 || ngx_errno != ESRCH);
}

ngx_slab_pool_t& pool_of(const ngx_shm_zone_t& zone) noexcept {
    return *reinterpret_cast<ngx_slab_pool_t*>(zone.shm.addr);
}

KeyCache cache_of(const ZoneHeader& header) noexcept {
    return KeyCache::attach(header.cache, header.cache_bytes);
}

// Slots are made when workers need them (usage_slots.cpp). After a reload there are two workers for each processor.
ngx_uint_t plan_usage(const ngx_slab_pool_t& pool, ZoneHeader& header) noexcept {
    const std::size_t slots = 2 * static_cast<std::size_t>(std::max<ngx_int_t>(ngx_ncpu, 2));
    const std::size_t few = slots * kSmallSlotBytes / ngx_pagesize;
    const ngx_uint_t pages =
        std::max<ngx_uint_t>(pool.pfree / kUsageShare, std::min<ngx_uint_t>(pool.pfree / kMostUsageShare, few));
    const std::size_t bytes = pages * ngx_pagesize;
    if (bytes < kSmallSlotBytes) return 0;
    const std::size_t slot = std::clamp(bytes / slots, kSmallSlotBytes, kMostSlotBytes);
    header.slot_bytes = slot / ngx_pagesize * ngx_pagesize;
    return pages;
}

// Everything but what is reserved becomes the cache.
bool make_cache(ngx_slab_pool_t& pool, ZoneHeader& header) noexcept {
    const ngx_uint_t reserve = plan_usage(pool, header) + std::max(pool.pfree / kReservedShare, kFewestReservedPages);
    header.cache_bytes = (pool.pfree - reserve) * ngx_pagesize;
    header.cache = ngx_slab_alloc(&pool, header.cache_bytes);
    KeyCache::Secret secret{};
    if (header.cache == nullptr || RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), sizeof(secret)) != 1) {
        return false;
    }
    return static_cast<bool>(KeyCache::create(header.cache, header.cache_bytes, secret));
}

// Keys lie all over the zone, so that a lookup waits for the page tables, too: less where the system gives huge pages of shared
// memory to who asks (docs/operations.md). Where it does not, nothing is different.
void ask_for_huge_pages(const ngx_shm_t& memory) noexcept {
    (void)madvise(memory.addr, memory.size, MADV_HUGEPAGE);
}

ngx_int_t make_zone(ngx_shm_zone_t& zone) noexcept {
    ask_for_huge_pages(zone.shm);  // before most of it is touched
    ngx_slab_pool_t& pool = pool_of(zone);
    pool.log_nomem = 0;  // what finds no room is counted, not logged
    auto* header = static_cast<ZoneHeader*>(ngx_slab_calloc(&pool, sizeof(ZoneHeader)));
    if (header == nullptr || !make_zone_id(header->id) || !make_cache(pool, *header)) {
        ngx_log_error(NGX_LOG_EMERG, zone.shm.log, 0, "api_key: zone \"%V\" has no room for its cache", &zone.shm.name);
        return NGX_ERROR;
    }
    zone.data = pool.data = header;
    return NGX_OK;
}

// In the master, at every start and reload. `old`: the memory is that of the cycle before, of the same tag.
ngx_int_t init_key_zone(ngx_shm_zone_t* zone, void* old) noexcept {
    if (old == nullptr) return make_zone(*zone);
    zone->data = old;
    return NGX_OK;
}

}  // namespace

bool make_zone_id(ZoneId& id) noexcept {
    std::array<unsigned char, sizeof(ZoneId) / 2> random{};
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) return false;
    ngx_hex_dump(reinterpret_cast<u_char*>(id.data()), random.data(), random.size());
    return true;
}

char* declare_key_zone(ngx_conf_t* cf, MainConf& conf) {
    if (conf.zone != nullptr) return const_cast<char*>("is duplicate");
    ngx_str_t& argument = static_cast<ngx_str_t*>(cf->args->elts)[1];
    const std::size_t colon = view(argument).rfind(':');
    if (colon == std::string_view::npos || colon == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is not a name and a size; %s", &argument, kForm);
        return static_cast<char*>(NGX_CONF_ERROR);
    }
    ngx_str_t name{colon, argument.data};
    ngx_str_t size_text{argument.len - colon - 1, argument.data + colon + 1};
    const ssize_t size = ngx_parse_size(&size_text);
    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is not a size; %s", &size_text, kForm);
        return static_cast<char*>(NGX_CONF_ERROR);
    }
    if (size < static_cast<ssize_t>(kFewestPages * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small; it needs at least %uik", &name,
                           kFewestPages * ngx_pagesize / 1024);
        return static_cast<char*>(NGX_CONF_ERROR);
    }
    conf.zone = ngx_shared_memory_add(cf, &name, static_cast<std::size_t>(size), &ngx_http_api_key_module);
    if (conf.zone == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
    conf.zone->init = init_key_zone;
    return NGX_CONF_OK;
}

// nginx hands memory on where name, size and tag are the same; else the new workers get new memory, and the old ones go on
// with theirs (ngx_init_cycle). So everything that what is in there depends on goes into the tag, a pointer that is only
// compared: this copy of the module, how it lays the memory out, and who answers it.
void tie_to_redis(MainConf& conf) {
    if (conf.zone == nullptr) return;
    const redis::Url& url = conf.redis->url;
    std::string said_by =
        std::to_string(kLayout) + " " + url.unix_path + " " + url.host + " " + std::to_string(url.port);
    said_by += " " + std::to_string(url.database) + " " + std::string(view(conf.redis_prefix));
    const auto digest = sha256(said_by);
    if (!digest) throw std::bad_alloc();
    std::uintptr_t number = 0;
    std::memcpy(&number, digest->data(), sizeof(number));
    conf.zone->tag = reinterpret_cast<void*>(number ^ reinterpret_cast<std::uintptr_t>(&ngx_http_api_key_module));
}

namespace {

// The words of `stream` one by one: a reader may see some of before and some of after, which is good enough for gauges.
UsageStream stream_of(ZoneHeader& header) noexcept {
    const auto read = [](auto& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); };
    UsageStream& stream = header.stream;
    return {read(stream.entries), read(stream.dead), read(stream.waits_since),
            read(stream.added),   read(stream.seen), read(stream.asked)};
}

Counters sum_of(const ZoneHeader& header) noexcept {
    using Words = std::array<std::uint64_t, sizeof(Counters) / sizeof(std::uint64_t)>;
    Words sum{};
    for (const CounterBlock* block = header.counters.load(std::memory_order_acquire); block != nullptr;
         block = block->next) {
        Counters counters = block->counters;
        if (!is_alive(block->owner.load(std::memory_order_relaxed))) counters.gauges = {};
        Words words;
        std::memcpy(words.data(), &counters, sizeof(words));
        for (std::size_t i = 0; i < words.size(); ++i)
            sum[i] += words[i];
    }
    Counters total;
    std::memcpy(&total, sum.data(), sizeof(total));
    return total;
}

}  // namespace

KeyZone::KeyZone(ngx_shm_zone_t& zone) noexcept
    : pool_(pool_of(zone)),
      header_(*static_cast<ZoneHeader*>(zone.data)),
      coverage_(header_.coverage),
      cache_(cache_of(header_)) {
    take_counters();
}

KeyZone::~KeyZone() {
    if (block_ == nullptr) return;
    block_->counters.gauges = {};
    block_->owner.store(0, std::memory_order_release);
}

// That of a worker that is no more, or a new one.
void KeyZone::take_counters() noexcept {
    ngx_shmtx_lock(&pool_.mutex);
    CounterBlock* block = header_.counters.load(std::memory_order_relaxed);
    while (block != nullptr && is_alive(block->owner.load(std::memory_order_relaxed)))
        block = block->next;
    if (block == nullptr) {
        block = static_cast<CounterBlock*>(ngx_slab_calloc_locked(&pool_, sizeof(CounterBlock)));
        if (block != nullptr) {
            block->next = header_.counters.load(std::memory_order_relaxed);
            header_.counters.store(block, std::memory_order_release);  // sum_counters() reads it without the mutex
        }
    }
    if (block != nullptr) {
        block->owner.store(ngx_pid, std::memory_order_relaxed);
        block->counters.gauges = {};
        block->counters.gauges.workers = 1;
        block_ = block;
        counters_ = &block->counters;
    }
    ngx_shmtx_unlock(&pool_.mutex);
}

Counters KeyZone::counters_of_all() const noexcept {
    return sum_of(header_);
}

UsageStream KeyZone::usage_stream() const noexcept {
    return stream_of(header_);
}

void KeyZone::set_usage_stream(const UsageStream& stream) noexcept {
    const auto write = [](auto& word, auto value) { std::atomic_ref(word).store(value, std::memory_order_relaxed); };
    write(header_.stream.entries, stream.entries);
    write(header_.stream.dead, stream.dead);
    write(header_.stream.waits_since, stream.waits_since);
    write(header_.stream.added, stream.added);
    write(header_.stream.seen, stream.seen);
    write(header_.stream.asked, stream.asked);
}

KeyZone::Lock KeyZone::try_lock() noexcept {
    return Lock(ngx_shmtx_trylock(&pool_.mutex) != 0 ? &pool_.mutex : nullptr);
}

KeyZone::Lock KeyZone::lock_briefly() noexcept {
    for (int i = 0; i < kSpins; ++i) {
        if (ngx_shmtx_trylock(&pool_.mutex) != 0) return Lock(&pool_.mutex);
        ngx_cpu_pause();
    }
    return Lock(nullptr);
}

void KeyZone::forget(std::span<const Digest> keys) noexcept {
    for (int attempt = 0; !keys.empty() && attempt < kLockAttempts; ++attempt) {
        if (attempt != 0) ngx_sched_yield();  // to who holds it
        const Lock lock = lock_briefly();
        if (!lock) continue;
        for (const Digest& key : keys)
            cache_.invalidate(key);
        return;
    }
    if (!keys.empty()) forget_all();
}

void KeyZone::forget_all() noexcept {
    cache_.invalidate_all();
    ++counters().cache_flushes;
}

ZoneFill fill_of(const ngx_shm_zone_t& zone) noexcept {
    ZoneFill fill;
    fill.cache = cache_of(*static_cast<ZoneHeader*>(zone.data)).counts();
    fill.bytes = zone.shm.size;
    fill.free_bytes = pool_of(zone).pfree * ngx_pagesize;
    fill.stream = stream_of(*static_cast<ZoneHeader*>(zone.data));
    return fill;
}

Counters sum_counters(const ngx_shm_zone_t& zone) noexcept {
    return sum_of(*static_cast<const ZoneHeader*>(zone.data));
}

}  // namespace apikey::ngx
