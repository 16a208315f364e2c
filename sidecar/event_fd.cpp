#include "sidecar/event_fd.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace apikey {

using Clock = std::chrono::steady_clock;

EventFd::EventFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

EventFd::~EventFd() {
    close(fd_);
}

void EventFd::set() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = write(fd_, &one, sizeof one);  // full = set already
}

void EventFd::clear() noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = read(fd_, &count, sizeof count);  // empty = clear already
}

bool EventFd::is_set() const noexcept {
    pollfd entry{fd_, POLLIN, 0};
    return poll(&entry, 1, 0) > 0;
}

bool wait_for(std::span<pollfd> entries, std::chrono::milliseconds most) {
    const auto end = Clock::now() + most;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        const int ready =
            poll(entries.data(), entries.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready >= 0) return ready > 0;
        if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
    }
}

bool wait_readable(std::initializer_list<int> descriptors, std::chrono::milliseconds most) {
    std::array<pollfd, 8> entries{};
    const std::size_t count = std::min(descriptors.size(), entries.size());
    for (std::size_t i = 0; i < count; ++i)
        entries[i] = pollfd{descriptors.begin()[i], POLLIN, 0};
    return wait_for(std::span(entries).first(count), most);
}

}  // namespace apikey
