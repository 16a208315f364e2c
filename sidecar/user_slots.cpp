#include "sidecar/user_slots.hpp"

namespace apikey {

std::optional<UserSlots::Slot> UserSlots::take(const std::string& user) {
    std::string name = user;  // nothing may throw once it is counted
    const std::lock_guard lock(mutex_);
    const auto found = by_user_.find(user);
    if (taken_ >= in_all_ || (found != by_user_.end() && found->second >= per_user_)) return std::nullopt;
    ++by_user_[name];
    ++taken_;
    return Slot(*this, std::move(name));
}

void UserSlots::give_back(const std::string& user) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = by_user_.find(user);
    if (--found->second == 0) by_user_.erase(found);
    --taken_;
}

}  // namespace apikey
