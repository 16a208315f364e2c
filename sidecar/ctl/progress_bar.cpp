#include "sidecar/ctl/progress_bar.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace apikey {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirst{1000};
constexpr milliseconds kEvery{200};
constexpr std::size_t kWidth = 20;

// 1,234,567
std::string grouped(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3;)
        digits.insert(at -= 3, ",");
    return digits;
}

std::string in_megabytes(double bytes) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f MB", bytes / 1e6);
    return text.data();
}

// 1:02:03, 2:03
std::string in_time(double seconds) {
    const auto all = static_cast<std::uint64_t>(std::min(seconds, 359'999.0));
    std::array<char, 32> text{};
    if (all >= 3600) {
        std::snprintf(text.data(), text.size(), "%d:%02d:%02d", static_cast<int>(all / 3600),
                      static_cast<int>(all / 60 % 60), static_cast<int>(all % 60));
    } else {
        std::snprintf(text.data(), text.size(), "%d:%02d", static_cast<int>(all / 60), static_cast<int>(all % 60));
    }
    return text.data();
}

std::string bar(std::uint64_t done, std::uint64_t total) {
    const double part = total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto full = static_cast<std::size_t>(part * kWidth);
    return "[" + std::string(full, '#') + std::string(kWidth - full, '-') + "]  " +
           std::to_string(static_cast<int>(part * 100)) + " %";
}

}  // namespace

ProgressBar::ProgressBar(std::string what, std::optional<std::uint64_t> total)
    : what_(std::move(what)), total_(total), is_terminal_(isatty(STDERR_FILENO) != 0), next_(begin_ + kFirst) {}

void ProgressBar::show(std::uint64_t bytes, std::uint64_t rows) {
    const auto now = Clock::now();
    if (!is_terminal_ || now < next_) return;
    next_ = now + kEvery;
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    const double speed = static_cast<double>(bytes) / seconds;
    std::string line = total_ ? bar(bytes, *total_) : in_megabytes(static_cast<double>(bytes));
    line += "  " + grouped(rows) + " rows  " + in_megabytes(speed) + "/s";
    if (total_ && bytes > 0 && bytes < *total_) {
        line += "  " + in_time(static_cast<double>(*total_ - bytes) / speed) + " left";
    }
    draw(line);
}

void ProgressBar::show(const std::string& doing) {
    const bool is_time = is_drawn_ || Clock::now() >= begin_ + kFirst;
    if (is_terminal_ && is_time) draw(doing);
}

void ProgressBar::draw(const std::string& line) {
    std::fprintf(stderr, "\r\x1b[K%s  %s", what_.c_str(), line.c_str());
    std::fflush(stderr);
    is_drawn_ = true;
}

void ProgressBar::wipe() {
    if (!is_drawn_) return;
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
    is_drawn_ = false;
}

}  // namespace apikey
