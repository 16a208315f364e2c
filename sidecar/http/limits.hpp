// What the HTTP server allows. Its clients are nginx, and whoever else the socket's mode lets in.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace apikey::http {

struct Limits {
    // With a thread each. One more takes the place of the one that has waited longest for a request; where all are busy, it is told so.
    std::size_t connections = 128;
    std::size_t told_so = 32;                     // at the same time; whoever comes then is hung up on
    std::uint32_t header_bytes = 64 * 1024;       // a query has at most 16 KiB before it is encoded
    std::chrono::milliseconds header{10'000};     // from its first byte to its last
    std::chrono::milliseconds idle{75'000};       // between two requests
    std::chrono::milliseconds body_idle{60'000};  // between two bytes of a body
    std::chrono::milliseconds stall{60'000};      // exports.stall: see TimedStream
    // How long what is left of a request is read and thrown away after an answer that did not wait for it: nginx would not read
    // the answer of a connection that breaks while it writes.
    std::chrono::milliseconds linger{5'000};
    std::chrono::milliseconds grace{3'000};       // for running requests when apikeyd stops; then they are cut
    std::chrono::milliseconds last_words{1'000};  // for the answer to one that was
};

}  // namespace apikey::http
