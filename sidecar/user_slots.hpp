// How many exports, summaries or imports may run at once: so many for one user, so many in all (hazard X11).
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace apikey {

class UserSlots {
  public:
    // A place that is given back with it. The UserSlots must outlive it.
    class Slot {
      public:
        Slot(UserSlots& slots, std::string user) : slots_(&slots), user_(std::move(user)) {}
        ~Slot() { give_back(); }
        // Before the end of the answer is sent: whoever has seen that may ask for the next one.
        void give_back() noexcept {
            if (UserSlots* const slots = std::exchange(slots_, nullptr)) slots->give_back(user_);
        }
        Slot(Slot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)), user_(std::move(other.user_)) {}
        Slot& operator=(Slot&&) = delete;

      private:
        UserSlots* slots_;
        std::string user_;
    };

    UserSlots(std::size_t per_user, std::size_t in_all) : per_user_(per_user), in_all_(in_all) {}

    // Nothing: all of them are taken, or all of this user's. Thread-safe.
    std::optional<Slot> take(const std::string& user);

  private:
    void give_back(const std::string& user) noexcept;

    std::size_t per_user_;
    std::size_t in_all_;
    std::mutex mutex_;
    std::size_t taken_ = 0;
    std::map<std::string, std::size_t, std::less<>> by_user_;  // only who has any
};

}  // namespace apikey
