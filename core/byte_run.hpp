// How far bytes go on that need no look: eight at a time, since nearly all of a text is plain.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace apikey {

// The bytes below 0x20, and those of `Stops`.
template <char... Stops>
struct ControlsAnd {
    static constexpr bool has(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || (... || (c == Stops)); }

    // The highest bit of each of eight bytes that is among them. Wrong only about bytes behind one that is.
    static constexpr std::uint64_t marks(std::uint64_t eight) noexcept {
        return (below(eight, 0x20) | ... | below(eight ^ (kOnes * static_cast<unsigned char>(Stops)), 1)) & kHighBits;
    }

  private:
    static constexpr std::uint64_t kOnes = 0x0101010101010101;
    static constexpr std::uint64_t kHighBits = kOnes * 0x80;
    // The highest bit of each byte that is less than `limit` (of those behind one perhaps, too: the borrow), and other bits.
    static constexpr std::uint64_t below(std::uint64_t eight, std::uint64_t limit) noexcept {
        return (eight - kOnes * limit) & ~eight;
    }
};

// How many bytes come before the first one of `Set`.
template <class Set>
std::size_t run_before(std::string_view bytes) noexcept {
    std::size_t at = 0;
    for (std::uint64_t eight = 0; bytes.size() - at >= sizeof eight; at += sizeof eight) {
        std::memcpy(&eight, bytes.data() + at, sizeof eight);
        const std::uint64_t marks = Set::marks(eight);
        if (marks == 0) continue;
        if constexpr (std::endian::native != std::endian::little)
            break;  // the first byte is not the lowest: looked for below
        return at + static_cast<std::size_t>(std::countr_zero(marks)) / 8;
    }
    while (at < bytes.size() && !Set::has(bytes[at]))
        ++at;
    return at;
}

// A byte below 0x20, or DEL.
inline bool has_control_byte(std::string_view text) noexcept {
    return run_before<ControlsAnd<'\x7f'>>(text) != text.size();
}

// With a ? in place of each of these: for logs, messages and terminals.
inline std::string without_control_bytes(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return text;
}

}  // namespace apikey
