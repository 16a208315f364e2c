// A connection with deadlines, as Beast's SyncReadStream and SyncWriteStream. Asio's own blocking calls know no deadline, and do not
// heed SO_RCVTIMEO.
//
// Reading ends at the moment that is set. Writing has no such moment, since an export may take hours: it ends when the other side
// takes too little (hazard X10). Both end when `cut` is set.
#pragma once

#include <sys/uio.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "sidecar/event_fd.hpp"

namespace apikey::http {

using boost::system::error_code;

class TimedStream {
  public:
    using Clock = std::chrono::steady_clock;
    using Milliseconds = std::chrono::milliseconds;

    // Whoever waits for room for `stall` altogether while less than this was taken gives up.
    static constexpr std::uint64_t kLeastTaken = 64 * 1024;

    // Owns `fd`, and makes it non-blocking.
    TimedStream(int fd, const EventFd& cut, Milliseconds stall);
    ~TimedStream();
    TimedStream(const TimedStream&) = delete;
    TimedStream& operator=(const TimedStream&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }

    // Waits until there is something to read, or the other side is gone. False: not within `most`, or `wake` is set.
    [[nodiscard]] bool wait_for_data(Milliseconds most, const EventFd& wake) const;

    void read_within(Milliseconds most) noexcept { read_end_ = Clock::now() + most; }
    // From here on writing counts anew, for another answer.
    void forget_writing() noexcept { taken_ = 0, waited_ = Clock::duration::zero(); }
    // A last answer may be written although `cut` is set, within so long.
    void last_words(Milliseconds most) noexcept;
    // The other side reads an end, and may still write.
    void shut_down_writing() noexcept;

    // At least one byte, or an error: eof, timed_out, operation_aborted (`cut`), or what the system says.
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers, error_code& error) {
        for (auto each = boost::asio::buffer_sequence_begin(buffers); each != boost::asio::buffer_sequence_end(buffers);
             ++each) {
            const boost::asio::mutable_buffer buffer(*each);
            if (buffer.size() > 0) return receive(buffer.data(), buffer.size(), error);
        }
        error = {};
        return 0;
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers, error_code& error) {
        std::array<iovec, 16> pieces;
        std::size_t count = 0;
        for (auto each = boost::asio::buffer_sequence_begin(buffers);
             each != boost::asio::buffer_sequence_end(buffers) && count < pieces.size(); ++each) {
            const boost::asio::const_buffer buffer(*each);
            if (buffer.size() > 0) pieces[count++] = {const_cast<void*>(buffer.data()), buffer.size()};
        }
        error = {};
        return count == 0 ? 0 : send(pieces.data(), count, error);
    }
    // The same, which throw boost::system::system_error.
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers) {
        error_code error;
        const std::size_t bytes = read_some(buffers, error);
        if (error) throw boost::system::system_error(error);
        return bytes;
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers) {
        error_code error;
        const std::size_t bytes = write_some(buffers, error);
        if (error) throw boost::system::system_error(error);
        return bytes;
    }

  private:
    std::size_t receive(void* data, std::size_t size, error_code& error);
    std::size_t send(iovec* pieces, std::size_t count, error_code& error);
    // Until `fd_` is ready for `events`, at most until `end`. What is wrong instead.
    error_code wait(short events, Clock::time_point end) const;
    [[nodiscard]] bool is_cut() const noexcept { return cut_ != nullptr && cut_->is_set(); }

    int fd_;
    const EventFd* cut_;  // null: no more
    Clock::duration stall_;
    Clock::time_point read_end_ = Clock::time_point::max();
    Clock::duration waited_{0};  // for room, since kLeastTaken bytes were taken the last time
    std::uint64_t taken_ = 0;    // since then
};

}  // namespace apikey::http
