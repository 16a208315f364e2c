// What LlmUsage read out of a body, for tests that give it the same body in different pieces.
#pragma once

#include <cstddef>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "core/usage/llm_usage.hpp"

namespace apikey::test {

using Format = usage::LlmUsage::Format;
using Outcome = usage::LlmUsage::Outcome;

struct Reading {
    Outcome outcome = Outcome::absent;
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    std::uint64_t cached = 0;
    std::string model;

    bool operator==(const Reading&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Reading& reading) {
    constexpr std::string_view kNames[] = {"found", "absent", "malformed"};
    return out << kNames[static_cast<int>(reading.outcome)] << ' ' << reading.in << " in, " << reading.out << " out, "
               << reading.cached << " cached, model \"" << reading.model << '"';
}

// `length_at(n)` says how long the piece that begins at byte n shall be.
template <class LengthAt>
Reading read_in_pieces(Format format, std::string_view body, LengthAt length_at) {
    usage::LlmUsage usage(format);
    for (std::size_t at = 0; at < body.size();) {
        // Each piece ends where its memory ends: AddressSanitizer sees a look behind it.
        const std::string piece(body.substr(at, length_at(at)));
        usage.feed(piece);
        at += piece.size();
    }
    usage.end();
    const usage::LlmTokens& tokens = usage.tokens();
    return {usage.outcome(), tokens.in, tokens.out, tokens.cached, std::string(usage.model())};
}

inline Reading read_whole(Format format, std::string_view body) {
    return read_in_pieces(format, body, [&](std::size_t) { return body.size(); });
}
inline Reading read_bytewise(Format format, std::string_view body) {
    return read_in_pieces(format, body, [](std::size_t) { return 1; });
}
inline Reading read_split(Format format, std::string_view body, std::size_t place) {
    return read_in_pieces(format, body, [&](std::size_t at) { return at < place ? place : body.size(); });
}

}  // namespace apikey::test
