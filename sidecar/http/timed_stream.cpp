#include "sidecar/http/timed_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace apikey::http {
namespace {

namespace asio = boost::asio;

error_code last_error() {
    return {errno, boost::system::system_category()};
}

bool would_block() {
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

// For poll(2), rounded up; never negative.
int until(TimedStream::Clock::time_point end) {
    constexpr TimedStream::Milliseconds kLongest{std::chrono::hours(1)};  // then it is asked for again
    if (end == TimedStream::Clock::time_point::max()) return static_cast<int>(kLongest.count());
    const auto left = std::chrono::ceil<TimedStream::Milliseconds>(end - TimedStream::Clock::now());
    return static_cast<int>(std::clamp(left, TimedStream::Milliseconds(0), kLongest).count());
}

}  // namespace

TimedStream::TimedStream(int fd, const EventFd& cut, Milliseconds stall) : fd_(fd), cut_(&cut), stall_(stall) {
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

TimedStream::~TimedStream() {
    close(fd_);
}

bool TimedStream::wait_for_data(Milliseconds most, const EventFd& wake) const {
    const auto end = Clock::now() + most;
    for (;;) {
        std::array<pollfd, 2> entries = {{{fd_, POLLIN, 0}, {wake.fd(), POLLIN, 0}}};
        const int ready = poll(entries.data(), entries.size(), until(end));
        if (ready > 0) return entries[0].revents != 0;
        if (ready == 0 && Clock::now() >= end) return false;
        if (ready < 0 && errno != EINTR) return false;
    }
}

void TimedStream::last_words(Milliseconds most) noexcept {
    cut_ = nullptr;
    forget_writing();
    stall_ = most;
    read_within(most);
}

void TimedStream::shut_down_writing() noexcept {
    shutdown(fd_, SHUT_WR);
}

error_code TimedStream::wait(short events, Clock::time_point end) const {
    constexpr int kNone = -1;  // poll(2) leaves it out
    for (;;) {
        std::array<pollfd, 2> entries = {{{fd_, events, 0}, {cut_ != nullptr ? cut_->fd() : kNone, POLLIN, 0}}};
        const int ready = poll(entries.data(), entries.size(), until(end));
        if (ready < 0 && errno != EINTR) return last_error();
        if (ready > 0) return entries[1].revents != 0 ? error_code(asio::error::operation_aborted) : error_code();
        if (Clock::now() >= end) return asio::error::timed_out;
    }
}

// `cut` and the deadline are looked at every time: a client that never lets us wait must not go on for ever.
std::size_t TimedStream::receive(void* data, std::size_t size, error_code& error) {
    error = {};
    for (;;) {
        if (is_cut()) error = asio::error::operation_aborted;
        if (!error && Clock::now() >= read_end_) error = asio::error::timed_out;
        if (error) return 0;
        const ssize_t bytes = recv(fd_, data, size, 0);
        if (bytes > 0) return static_cast<std::size_t>(bytes);
        if (bytes == 0) {
            error = asio::error::eof;
        } else if (would_block()) {
            error = wait(POLLIN, read_end_);
        } else if (errno != EINTR) {
            error = last_error();
        }
    }
}

std::size_t TimedStream::send(iovec* pieces, std::size_t count, error_code& error) {
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    for (;;) {
        if (!error && is_cut()) error = asio::error::operation_aborted;
        if (error) return 0;
        const ssize_t bytes = sendmsg(fd_, &message, MSG_NOSIGNAL);
        if (bytes >= 0) {
            taken_ += static_cast<std::uint64_t>(bytes);
            if (taken_ >= kLeastTaken) forget_writing();
            return static_cast<std::size_t>(bytes);
        }
        if (would_block()) {
            const auto began = Clock::now();
            error = wait(POLLOUT, began + stall_ - waited_);
            waited_ += Clock::now() - began;
        } else if (errno != EINTR) {
            error = last_error();
        }
    }
}

}  // namespace apikey::http
