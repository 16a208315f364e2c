// What has become of the usage that this apikeyd was handed, since it started. Written by the flusher, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace apikey {

struct UsageCounts {
    std::atomic<std::uint64_t> batches{0};     // applied
    std::atomic<std::uint64_t> duplicates{0};  // that had been applied before
    std::atomic<std::uint64_t> rows{0};        // of usage_records, new or grown
    std::atomic<std::uint64_t> dead{0};        // batches that went to the dead stream
    std::atomic<std::uint64_t> dropped{0};     // that found it full
    std::atomic<std::uint64_t> lost{0};        // entries that were gone before they were applied
    std::atomic<std::uint64_t> clamped{0};     // uses too far in the future to be believed
    std::atomic<std::int64_t> applied_at{0};   // when the last transaction was committed, unix ms; 0: never
    std::atomic<std::int64_t> lag_ms{0};       // of its oldest batch, from the sealing in nginx on, by both clocks
};

// One line about what happened since it was last called.
class UsageLog {
  public:
    explicit UsageLog(const UsageCounts& counts) : counts_(counts) {}
    // Empty: nothing happened.
    std::string take_line();

  private:
    const UsageCounts& counts_;
    std::uint64_t batches_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t rows_ = 0;
    std::uint64_t dead_ = 0;
    std::uint64_t dropped_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t clamped_ = 0;
};

}  // namespace apikey
