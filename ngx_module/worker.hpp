// What lives as long as a worker process, and how the rest gets at it.
#pragma once

#include <string_view>

#include "core/digest.hpp"
#include "ngx_module/invalidation.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/lookups.hpp"
#include "ngx_module/redis_link.hpp"
#include "ngx_module/usage.hpp"

namespace apikey::ngx {

struct Worker {
    // `host`: where this is, for its name.
    Worker(const MainConf& conf, std::string_view host);

    // Has a live subscription watched for changes ever since `validated_at` (monotonic ms)? Only then may what was true
    // then be used without asking.
    [[nodiscard]] bool watched_since(redis::Millis validated_at) const noexcept {
        return invalidation.watched_since(validated_at);
    }

    KeyZone zone;
    RedisLink link;
    Lookups lookups;
    Invalidation invalidation;
    Usage usage;
};

// Null in processes that serve no requests, and where api_key is nowhere on.
extern Worker* the_worker;  // only for the next line, which every request passes several times
inline Worker* this_worker() noexcept {
    return the_worker;
}

// Worker start and exit (module.cpp). start_worker() throws what its parts throw.
void start_worker(ngx_cycle_t* cycle);
void stop_worker() noexcept;

}  // namespace apikey::ngx
