// A flag that poll(2) can wait for, set by one thread and seen by others.
#pragma once

#include <poll.h>

#include <chrono>
#include <initializer_list>
#include <span>

namespace apikey {

class EventFd {
  public:
    // Throws std::system_error when the process has no descriptor left.
    EventFd();
    ~EventFd();
    EventFd(const EventFd&) = delete;
    EventFd& operator=(const EventFd&) = delete;

    // Also from a signal handler.
    void set() noexcept;
    void clear() noexcept;
    [[nodiscard]] bool is_set() const noexcept;
    [[nodiscard]] int fd() const noexcept { return fd_; }

  private:
    int fd_;
};

// Waits until poll(2) says something of one of them (entries[i].revents), at most `most`. False when the time is up. Throws
// std::system_error.
bool wait_for(std::span<pollfd> entries, std::chrono::milliseconds most);

// Waits until one of `descriptors` is readable (or closed), at most `most`. False when the time is up.
bool wait_readable(std::initializer_list<int> descriptors, std::chrono::milliseconds most);

}  // namespace apikey
