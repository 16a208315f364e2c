// A pipelined Redis connection without the connection: commands go in and bytes come out, bytes go
// in and replies come out, in order, each with the tag of its command. nginx moves the bytes with
// its event loop, apikeyd with Asio.
//
// Any surprise (what reply_reader.hpp refuses, and a reply that nobody asked for) fails the pipeline for
// good; the owner closes the connection, and nothing is resynchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "core/redis/reply.hpp"
#include "core/redis/reply_reader.hpp"

namespace apikey::redis {

class Pipeline {
  public:
    using Limits = ReplyReader::Limits;
    using Tag = std::uint64_t;
    static constexpr std::size_t kKeptOutput = std::size_t{64} * 1024;
    struct Answer {
        Tag tag = 0;
        ReplyView reply;  // valid until the next call of next(), feed() or reset()
    };
    enum class Next : std::uint8_t { answer, need_bytes, failed };

    Pipeline();
    explicit Pipeline(Limits limits);

    // Queues one command; `tag` comes back with its reply.
    void send(Tag tag, std::span<const std::string_view> arguments);
    void send(Tag tag, std::initializer_list<std::string_view> arguments);

    // A subscription brings replies that answer no command: takes one more, with this tag.
    void expect(Tag tag) { expected_.push_back(tag); }

    // Before big commands: makes room for `bytes` more of output(), in one block of `block` bytes where it needs one that is
    // larger than kKeptOutput. They are then copied once, and the buffer does not double.
    void make_room(std::size_t bytes, std::size_t block);

    // Bytes that wait to be written; valid until the next send() or make_room(). written() takes `count` of them
    // off; memory of more than kKeptOutput bytes is given back when the last are gone.
    [[nodiscard]] std::string_view output() const noexcept;
    void written(std::size_t count);

    // Takes in what was read. Then call next() until it does not give an answer.
    void feed(std::string_view bytes) { reader_.feed(bytes); }
    // The next complete reply, in `*answer` (of no meaning otherwise).
    Next next(Answer* answer);

    // Commands sent (or waiting in output()) whose reply has not come out of next().
    [[nodiscard]] std::size_t outstanding() const noexcept { return expected_.size(); }
    // After Next::failed: what the peer did, in words without its data.
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

    // Forgets everything: a new connection starts clean.
    void reset();

  private:
    void forget_output();

    ReplyReader reader_;
    std::string output_;
    std::size_t written_ = 0;
    std::deque<Tag> expected_;
    std::string failure_;
};

}  // namespace apikey::redis
