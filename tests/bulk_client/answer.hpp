// One answer of HTTP/1.1 out of what has come so far.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace apikey::bulk {

// Its views point into the bytes that it was read from.
struct Answer {
    int status = 0;
    std::size_t size = 0;    // bytes, with its body
    std::string_view body;   // what the test upstream says about who asks: "user id scopes"
    std::string_view nonce;  // X-Nonce: of the request that nginx answers
    std::string_view
        seen_nonce;       // X-Seen-Nonce: of the request that the upstream has seen; empty in nginx' own answers
    bool closes = false;  // no other answer comes on this connection
};

// The first answer in `bytes`, nothing when it is not complete. Throws std::runtime_error when this is no answer with a
// Content-Length: nothing else is sent here.
std::optional<Answer> read_answer(std::string_view bytes);

}  // namespace apikey::bulk
