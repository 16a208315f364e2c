// What apikeyd's log says about changes: one line for each batch when they are few, one a second with sums when they are
// many. Words only; who writes them when is the caller's.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "sidecar/confirmations.hpp"

namespace apikey {

class ChangeLog {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds kEvery{1};

    // A batch is in force.
    void add(const Confirmations::Outcome& outcome);
    // The line that is due, if any.
    std::optional<std::string> take_line(Time now);
    // When the next one is; Time::max() when there is nothing to say.
    [[nodiscard]] Time next_line() const noexcept;

  private:
    std::size_t batches_ = 0;  // since the last line
    std::size_t keys_ = 0;
    bool any_ = false;
    std::size_t confirmed_ = 0;
    std::size_t expected_ = 0;
    std::chrono::milliseconds slowest_{0};
    Time quiet_until_;
};

// The warning about a batch that is out of patience: how many workers are missing, which, and what bounds them.
std::string describe_late(const Confirmations::Outcome& outcome);

}  // namespace apikey
