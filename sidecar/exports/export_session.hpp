// What the exports have in common: the transaction, and how long it may last.
#pragma once

#include <chrono>
#include <string>

#include "core/transfer/queries.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {

// A snapshot keeps Postgres from clearing away what was deleted since, so it does not last for ever, however slow the client is.
inline constexpr std::chrono::hours kLongestExport{2};
// Postgres may look through much that the filters leave out before it has a row.
inline constexpr std::chrono::minutes kLongestSilence{10};

// Sums and lists: as long as whoever looks at a page may wait.
inline constexpr std::chrono::seconds kLongestLook{30};

inline void set_range(UserSnapshot& snapshot, const OpenRange& range) {
    if (range.from) snapshot.set("from", format_iso_time(*range.from));
    if (range.until) snapshot.set("until", format_iso_time(*range.until));
}

inline void set_selection(UserSnapshot& snapshot, const UsageSelection& which) {
    set_range(snapshot, which.range);
    if (which.endpoint) snapshot.set("endpoint", *which.endpoint);
    if (which.model) snapshot.set("model", *which.model);
    if (which.status) snapshot.set("status", *which.status);
    if (which.key_id) snapshot.set("key", *which.key_id);
}

// What a JSON export begins with, up to its first row, and ends with.
std::string json_begin(UserSnapshot& snapshot);
std::string json_end(std::uint64_t rows);

}  // namespace apikey
