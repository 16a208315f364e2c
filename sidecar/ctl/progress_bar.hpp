// How far a long command is, on one line of a terminal: bytes, rows, speed and, where the end is known, what is left.
//
//   import  [########------------]  42 %  1,234,567 rows  35.1 MB/s  0:12 left
//
// Where stderr is no terminal there is nothing to be seen of it, nor of what takes less than a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace apikey {

class ProgressBar {
  public:
    // `what` goes on; of `total` bytes, or nothing: that is not known.
    ProgressBar(std::string what, std::optional<std::uint64_t> total);
    // Wipes it away.
    ~ProgressBar() { wipe(); }
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // So much is done. May be called as often as one likes.
    void show(std::uint64_t bytes, std::uint64_t rows);
    // Nothing to count for a while: says `doing` instead, if it is time to say anything.
    void show(const std::string& doing);

  private:
    using Clock = std::chrono::steady_clock;

    void draw(const std::string& line);
    void wipe();

    std::string what_;
    std::optional<std::uint64_t> total_;
    bool is_terminal_;
    bool is_drawn_ = false;
    Clock::time_point begin_ = Clock::now();
    Clock::time_point next_;  // when it may be drawn again
};

}  // namespace apikey
