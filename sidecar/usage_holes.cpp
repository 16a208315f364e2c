#include "sidecar/usage_holes.hpp"

#include <algorithm>

namespace apikey {

void UsageHoles::seen(const UsageSlotId& slot, const std::vector<UsageHole>& holes, Clock::time_point now) {
    std::erase_if(holes_, [&](const auto& known) {
        return known.first.of == slot && std::find(holes.begin(), holes.end(), known.first) == holes.end();
    });
    for (const UsageHole& hole : holes) {
        if (holes_.size() < kMost) holes_.try_emplace(hole, Since{now});
    }
}

std::vector<UsageHole> UsageHoles::take_overdue(Clock::time_point now) {
    std::vector<UsageHole> overdue;
    for (auto& [hole, since] : holes_) {
        if (since.told || now - since.seen < kPatience) continue;
        since.told = true;
        overdue.push_back(hole);
    }
    return overdue;
}

}  // namespace apikey
