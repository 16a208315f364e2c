#include "core/bearer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace apikey {
namespace {

constexpr std::string_view kScheme = "bearer";

constexpr bool is_ows(char c) noexcept {
    return c == ' ' || c == '\t';
}

inline std::string_view trim_ows(std::string_view text) noexcept {
    while (!text.empty() && is_ows(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_ows(text.back()))
        text.remove_suffix(1);
    return text;
}

// Does the text begin with the scheme, in any case? Compared as two numbers, whose letters are made lower case at once.
bool begins_with_scheme(std::string_view text) noexcept {
    const auto lower = [](std::string_view of) noexcept {
        std::uint32_t four = 0;
        std::uint16_t two = 0;
        static_assert(kScheme.size() == sizeof four + sizeof two);
        std::memcpy(&four, of.data(), sizeof four);
        std::memcpy(&two, of.data() + sizeof four, sizeof two);
        return std::pair(four | 0x2020'2020U, two | 0x2020U);
    };
    return text.size() >= kScheme.size() && lower(text) == lower(kScheme);
}

// Does the value begin with the scheme, as a whole word?
bool names_bearer(std::string_view value) noexcept {
    if (!begins_with_scheme(value)) return false;
    return value.size() == kScheme.size() || is_ows(value[kScheme.size()]);
}

// Sixteen bytes, looked at in a few vector instructions (GCC and clang; any processor).
using Block = unsigned char __attribute__((vector_size(16)));

// For each of the sixteen bytes at `bytes`: all bits where it is token68 without its padding (RFC 9110 §11.2), that is
// ALPHA, DIGIT, - . _ ~ + /
auto token68_of(const char* bytes) noexcept {
    Block block;
    std::memcpy(&block, bytes, sizeof block);
    const auto letter = (block | 0x20) - 'a' < 26;
    const auto digit_or_dash = block - '-' <= '9' - '-';  // - . / 0-9
    return letter | digit_or_dash | (block == '_') | (block == '~') | (block == '+');
}

// At most kMaxKeyBytes: a byte that is wrong is found at the end.
bool all_token68(std::string_view text) noexcept {
    std::array<char, sizeof(Block)> padded;
    if (text.size() < padded.size()) {
        padded.fill('A');
        std::copy(text.begin(), text.end(), padded.begin());
        text = {padded.data(), padded.size()};
    }
    const char* const last = text.data() + text.size() - sizeof(Block);
    auto right = token68_of(last);  // overlaps the one before it
    for (const char* block = text.data(); block < last; block += sizeof(Block))
        right &= token68_of(block);
    std::array<std::uint64_t, 2> halves;
    std::memcpy(halves.data(), &right, sizeof halves);
    return (halves[0] & halves[1]) == ~std::uint64_t{0};
}

Credentials as_credentials(std::string_view token) noexcept {
    if (token.empty() || token.size() > kMaxKeyBytes) return {Credentials::Kind::malformed, {}};
    return {Credentials::Kind::present, token};
}

// The token of "Bearer token" with one space and nothing around it, as almost every client writes it; else empty.
inline std::string_view plain_token(std::string_view value) noexcept {
    constexpr std::string_view kPlain = "bearer ";
    if (value.size() <= kPlain.size() || !begins_with_scheme(value) || value[kScheme.size()] != ' ') return {};
    const std::string_view token = value.substr(kPlain.size());
    return is_ows(token.front()) || is_ows(token.back()) ? std::string_view() : token;
}

std::string_view without_quotes(std::string_view value) noexcept {
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    return quoted ? value.substr(1, value.size() - 2) : value;
}

// The value of a hex digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

bool is_token68(std::string_view token) noexcept {
    while (!token.empty() && token.back() == '=')
        token.remove_suffix(1);
    return !token.empty() && all_token68(token);
}

Credentials parse_authorization(std::string_view field_value) noexcept {
    if (const std::string_view token = plain_token(field_value); !token.empty()) return as_credentials(token);
    const std::string_view value = trim_ows(field_value);
    if (!names_bearer(value)) return {};
    // Only SP may separate; a HTAB stays in front of the token, which is no token68 then.
    std::string_view token = value.substr(kScheme.size());
    while (!token.empty() && token.front() == ' ')
        token.remove_prefix(1);
    return as_credentials(token);
}

Credentials parse_key(std::string_view value) noexcept {
    return as_credentials(trim_ows(value));
}

std::optional<std::string_view> find_cookie(std::string_view cookie_header_value, std::string_view name) noexcept {
    std::string_view rest = cookie_header_value;
    while (!rest.empty()) {
        const std::size_t end = rest.find(';');
        const std::string_view pair = rest.substr(0, end);
        const std::size_t equals = pair.find('=');
        if (equals != std::string_view::npos && trim_ows(pair.substr(0, equals)) == name) {
            return without_quotes(trim_ows(pair.substr(equals + 1)));
        }
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    return std::nullopt;
}

std::optional<std::string_view> percent_decode(std::string_view in, std::span<char> out) noexcept {
    std::size_t length = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (length == out.size()) return std::nullopt;
        if (in[i] != '%') {
            out[length++] = in[i];
            continue;
        }
        if (in.size() - i < 3) return std::nullopt;
        const int high = hex_value(in[i + 1]);
        const int low = hex_value(in[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out[length++] = static_cast<char>(high * 16 + low);
        i += 2;
    }
    return std::string_view(out.data(), length);
}

}  // namespace apikey
