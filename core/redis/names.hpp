// The names in Redis (DESIGN §3.5), for nginx and apikeyd alike, and the prefix that all of them begin with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace apikey::redis {

inline constexpr std::string_view kDefaultPrefix = "apikey:";
inline constexpr std::size_t kMaxPrefixBytes = 64;
// The consumer group of the stream `usage`: apikeyd, which applies what it says.
inline constexpr std::string_view kUsageGroup = "apikeyd";

// Printable ASCII without spaces. The length is checked apart, since it gets another message.
inline bool has_prefix_bytes(std::string_view prefix) noexcept {
    return std::all_of(prefix.begin(), prefix.end(), [](char c) { return c > ' ' && c <= '~'; });
}

struct Names {
    explicit Names(const std::string& prefix)
        : keys(prefix + "k:"),
          epoch(prefix + "epoch"),
          leader(prefix + "leader"),
          changed(prefix + "changed"),
          applied(prefix + "applied"),
          workers(prefix + "workers"),
          usage(prefix + "usage"),
          usage_dead(prefix + "usage:dead") {}

    [[nodiscard]] std::string key(std::string_view hash) const { return keys + std::string(hash); }

    std::string keys;        // before a key's hash
    std::string epoch;       // proves that everything is here
    std::string leader;      // the lease
    std::string changed;     // channel: what changed
    std::string applied;     // channel: which worker has applied it
    std::string workers;     // who must confirm (change.hpp)
    std::string usage;       // stream: what keys were used for
    std::string usage_dead;  // stream: what of it Postgres refused
};

}  // namespace apikey::redis
