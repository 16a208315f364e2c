// The counters in Prometheus' text exposition format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/). No label carries a key, a hash or a user.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/counters.hpp"
#include "core/key_cache.hpp"

namespace apikey {

inline constexpr std::string_view kMetricsMediaType = "text/plain; version=0.0.4; charset=utf-8";

// What is measured of the zone as a whole.
struct ZoneFill {
    KeyCache::Counts cache{};
    std::size_t bytes = 0;       // as configured
    std::size_t free_bytes = 0;  // that nothing has been made of yet
    UsageStream stream{};
    std::int64_t now = 0;  // unix ms
};

// The whole page. Throws std::bad_alloc.
std::string metrics_text(const Counters& counters, const ZoneFill& zone);

}  // namespace apikey
