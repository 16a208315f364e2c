// Clocks. But for unix_ms() they do not go back, and are the same in every process of this host; they stand still while it sleeps.
#pragma once

#include <cstdint>
#include <ctime>

#include "core/redis/millis.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// When this turn of the event loop began, in ms: never after now.
static_assert(sizeof(ngx_msec_t) == sizeof(redis::Millis), "ngx_current_msec must not come round");
inline redis::Millis turn_began() noexcept {
    return static_cast<redis::Millis>(ngx_current_msec);
}

inline timespec read_clock(clockid_t clock) noexcept {
    timespec time{};
    clock_gettime(clock, &time);
    return time;
}

// What time it was then, in unix ms. It may go back.
inline std::int64_t unix_ms() noexcept {
    const ngx_time_t& time = *ngx_timeofday();
    return static_cast<std::int64_t>(time.sec) * 1000 + static_cast<std::int64_t>(time.msec);
}

// The same as turn_began() in seconds, for the key cache: in such of 1024 ms, which is as good there.
inline std::uint32_t turn_began_seconds() noexcept {
    return static_cast<std::uint32_t>(ngx_current_msec >> 10U);
}

// Whole milliseconds.
inline redis::Millis ms_of(const timespec& time) noexcept {
    return static_cast<redis::Millis>(time.tv_sec) * 1000 + static_cast<std::uint32_t>(time.tv_nsec) / 1'000'000U;
}

// Now, in ms, up to 10 ms slow (it may lie before turn_began()): a read of memory, no system call.
inline redis::Millis now_ms() noexcept {
    return ms_of(read_clock(CLOCK_MONOTONIC_COARSE));
}

// Now, in ms: never before it.
inline redis::Millis now_ms_at_most() noexcept {
    return ms_of(read_clock(CLOCK_MONOTONIC)) + 1;
}

// Now, in microseconds, for durations.
inline std::int64_t now_us() noexcept {
    const timespec time = read_clock(CLOCK_MONOTONIC);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

}  // namespace apikey::ngx
