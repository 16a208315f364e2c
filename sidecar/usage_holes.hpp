// Sequence numbers that a slot has passed over: batches that are missing while later ones are applied. Most come a little
// late (another apikeyd has them, nginx sends them again, they lie in a spool); one that is missing for long is worth a line.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace apikey {

struct UsageSlotId {
    std::string zone;  // 32 hex digits
    std::uint64_t slot = 0;

    auto operator<=>(const UsageSlotId&) const = default;
};

struct UsageHole {
    UsageSlotId of;
    std::uint64_t first = 0;  // the missing numbers
    std::uint64_t last = 0;

    auto operator<=>(const UsageHole&) const = default;
};

class UsageHoles {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::minutes kPatience{5};
    static constexpr std::size_t kMost = 1000;  // more are not remembered

    // A batch of this slot was applied, and these are all the holes which the slot has now.
    void seen(const UsageSlotId& slot, const std::vector<UsageHole>& holes, Clock::time_point now);
    // Holes that have been there for kPatience, each told once.
    std::vector<UsageHole> take_overdue(Clock::time_point now);

  private:
    struct Since {
        Clock::time_point seen;
        bool told = false;
    };
    std::map<UsageHole, Since> holes_;
};

}  // namespace apikey
