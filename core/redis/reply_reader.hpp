// Replies of Redis (RESP2) out of the bytes of a connection, one after the other, whether anybody asked for them or not.
//
// Parses with hiredis' reader, bounded: its own object functions would reserve 4 GiB for one line. Any surprise (bytes that
// are no RESP2, a limit passed) fails the reader for good; the owner closes the connection, and nothing is resynchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/redis/reply.hpp"

struct redisReader;

namespace apikey::redis {

class ReplyReader {
  public:
    // What one reply may cost before the connection is given up.
    struct Limits {
        std::size_t unparsed_bytes = std::size_t{64} * 1024;
        std::size_t reply_bytes = std::size_t{64} * 1024;
        std::size_t reply_nodes = 256;
    };
    enum class Next : std::uint8_t { reply, need_bytes, failed };

    explicit ReplyReader(Limits limits);
    ~ReplyReader();
    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;

    // Takes in what was read. Then call next() until it does not give a reply.
    void feed(std::string_view bytes);
    // The next complete reply, in `*reply` (left alone otherwise), valid until the next call of any of these three.
    Next next(ReplyView* reply);
    // Forgets everything: a new connection starts clean. Throws std::bad_alloc.
    void reset();

    // After Next::failed: what the peer did, in words without its data.
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

  private:
    struct Builder;  // hiredis' object functions
    Next fail(std::string what);

    Limits limits_;
    redisReader* reader_;
    Reply reply_;
    bool handed_out_ = false;  // reply_ is the caller's until the next call
    std::string failure_;
};

}  // namespace apikey::redis
