#include "ngx_module/process_identity.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace apikey::ngx {

namespace {

constexpr unsigned kPidBits = 22;  // Linux has no pid of more (proc(5), pid_max)
constexpr usage::Owner kPidMask = (usage::Owner{1} << kPidBits) - 1;
constexpr int kStateField = 3;  // of /proc/PID/stat, proc(5)
constexpr int kStartField = 22;

struct Stat {
    bool known = false;
    char state = 0;
    std::uint64_t start = 0;  // in clock ticks since the system started
};

// The field `wanted` of the line, which begins behind the name in parentheses: that may hold anything.
std::string_view field(std::string_view line, int wanted) noexcept {
    std::size_t at = line.rfind(')');
    for (int each = kStateField - 1; at != std::string_view::npos && each < wanted; ++each)
        at = line.find(' ', at + 1);
    if (at == std::string_view::npos) return {};
    line.remove_prefix(at + 1);
    return line.substr(0, line.find(' '));
}

Stat stat_of(std::uint64_t pid) noexcept {
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/%llu/stat", static_cast<unsigned long long>(pid));
    const int file = open(path.data(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    std::array<char, 1024> bytes{};
    const ssize_t count = read(file, bytes.data(), bytes.size());
    close(file);
    if (count <= 0) return {};
    const std::string_view line(bytes.data(), static_cast<std::size_t>(count));
    const std::string_view state = field(line, kStateField);
    const std::string_view start = field(line, kStartField);
    Stat stat;
    if (state.empty() || std::from_chars(start.data(), start.data() + start.size(), stat.start).ec != std::errc{})
        return {};
    stat.known = true;
    stat.state = state.front();
    return stat;
}

}  // namespace

usage::Owner this_process() noexcept {
    const auto pid = static_cast<usage::Owner>(ngx_pid) & kPidMask;
    return stat_of(pid).start << kPidBits | pid;
}

bool is_running(usage::Owner owner) noexcept {
    const usage::Owner pid = owner & kPidMask;
    const std::uint64_t start = owner >> kPidBits;
    const Stat stat = stat_of(pid);
    if (!stat.known) return kill(static_cast<pid_t>(pid), 0) == 0 || ngx_errno != ESRCH;
    if (stat.state == 'Z' || stat.state == 'X') return false;
    return start == 0 || stat.start == start;
}

}  // namespace apikey::ngx
