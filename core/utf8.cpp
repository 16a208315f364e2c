#include "core/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace apikey {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// How many of the first bytes are ASCII but not NUL, counted by eight.
std::size_t plain_bytes(std::string_view text) noexcept {
    constexpr std::uint64_t kHigh = 0x8080808080808080U;
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    std::size_t at = 0;
    for (; at + 8 <= text.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + at, sizeof(word));
        if (((word | (word - kOnes)) & kHigh) != 0) break;  // a high bit, or a zero byte that borrows one
    }
    while (at < text.size() && static_cast<signed char>(text[at]) > 0)
        ++at;
    return at;
}

unsigned byte_at(std::string_view text, std::size_t at) noexcept {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
}

bool continues(unsigned byte) noexcept {
    return (byte & 0xC0U) == 0x80U;
}

// The length of the character that `text` begins with; 0: it begins with none. Unicode 15, table 3-7.
std::size_t character_bytes(std::string_view text) noexcept {
    const unsigned first = byte_at(text, 0);
    const unsigned second = byte_at(text, 1);
    if (first < 0x80) return text.empty() ? 0 : 1;
    if (first < 0xC2 || !continues(second)) return 0;
    if (first < 0xE0) return 2;
    if (!continues(byte_at(text, 2))) return 0;
    if (first < 0xF0) {
        if (first == 0xE0 && second < 0xA0) return 0;
        if (first == 0xED && second > 0x9F) return 0;
        return 3;
    }
    if (!continues(byte_at(text, 3))) return 0;
    if (first == 0xF0 && second < 0x90) return 0;
    if (first == 0xF4 && second > 0x8F) return 0;
    return first <= 0xF4 ? 4 : 0;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
    for (;;) {
        text.remove_prefix(plain_bytes(text));
        if (text.empty()) return true;
        const std::size_t length = character_bytes(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
}

std::string_view clean_utf8(std::string_view text, std::span<char> scratch) noexcept {
    if (text.size() <= scratch.size() && plain_bytes(text) == text.size()) return text;
    std::size_t size = 0;
    while (!text.empty()) {
        const std::size_t length = text.front() == '\0' ? 0 : character_bytes(text);
        const std::string_view character = length == 0 ? kReplacement : text.substr(0, length);
        if (size + character.size() > scratch.size()) break;
        std::copy(character.begin(), character.end(), scratch.data() + size);
        size += character.size();
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return {scratch.data(), size};
}

}  // namespace apikey
