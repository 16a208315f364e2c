#include "sidecar/usage_counts.hpp"

#include <utility>

namespace apikey {
namespace {

std::uint64_t grown(const std::atomic<std::uint64_t>& count, std::uint64_t& before) {
    const std::uint64_t now = count;
    return now - std::exchange(before, now);
}

}  // namespace

std::string UsageLog::take_line() {
    const std::uint64_t batches = grown(counts_.batches, batches_);
    const std::uint64_t rows = grown(counts_.rows, rows_);
    const std::string plain = std::to_string(batches) + (batches == 1 ? " batch" : " batches") + " applied, " +
                              std::to_string(rows) + (rows == 1 ? " row" : " rows");
    std::string special;
    const auto tell = [&special](std::uint64_t count, const char* what) {
        if (count > 0) special += ", " + std::to_string(count) + " " + what;
    };
    tell(grown(counts_.duplicates, duplicates_), "applied before");
    tell(grown(counts_.dead, dead_), "to the dead stream");
    tell(grown(counts_.dropped, dropped_), "dropped");
    tell(grown(counts_.lost, lost_), "lost");
    tell(grown(counts_.clamped, clamped_), "uses in the future");
    if (batches == 0 && special.empty()) return {};
    return "usage: " + plain + special + ", the last one " + std::to_string(counts_.lag_ms) + " ms after it was sealed";
}

}  // namespace apikey
