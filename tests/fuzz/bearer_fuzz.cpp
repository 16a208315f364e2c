// What a client sends as its key, against a second reading that goes byte by byte as the headers' grammars do. The last four
// bytes choose; the rest is an Authorization value, a Cookie value, a key.
#include "core/bearer.hpp"

#include <strings.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/key_format.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

constexpr std::string_view kBase62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

std::string trimmed(std::string_view text) {
    const std::size_t first = std::min(text.find_first_not_of(" \t"), text.size());
    return std::string(text.substr(first, text.find_last_not_of(" \t") + 1 - first));
}

// 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
bool is_token(std::string_view text) {
    const std::string bytes = std::string(kBase62) + "-._~+/";
    const std::size_t end = std::min(text.find_first_not_of(bytes), text.size());
    return end > 0 && text.find_first_not_of('=', end) == std::string_view::npos;
}

// The token of an Authorization value: none, malformed (empty), or what can be a key.
std::optional<std::string> token_in(std::string_view field) {
    const std::string value = trimmed(field);
    const std::size_t end = std::min(value.find_first_of(" \t"), value.size());
    if (strcasecmp(value.substr(0, end).c_str(), "bearer") != 0 || end != 6) return std::nullopt;
    const std::string token = value.substr(std::min(value.find_first_not_of(' ', end), value.size()));
    return token.size() <= 512 && is_token(token) ? token : "";
}

std::optional<std::string> judged(const Credentials& credentials) {
    if (credentials.kind == Credentials::Kind::none) return std::nullopt;
    if (credentials.kind == Credentials::Kind::malformed) return "";
    EXPECT_TRUE(!credentials.token.empty() && credentials.token.size() <= kMaxKeyBytes);
    return is_token68(Exact(credentials.token)) ? std::string(credentials.token) : "";
}

std::optional<std::string> cookie_in(std::string_view header, std::string_view name) {
    std::string rest = std::string(header) + ";";
    for (std::size_t end = 0; (end = rest.find(';')) != std::string::npos; rest.erase(0, end + 1)) {
        const std::size_t equals = rest.find('=');
        if (equals > end || trimmed(rest.substr(0, equals)) != name) continue;
        const std::string value = trimmed(rest.substr(equals + 1, end - equals - 1));
        const bool quoted = value.size() > 1 && value.front() == '"' && value.back() == '"';
        return quoted ? value.substr(1, value.size() - 2) : value;
    }
    return std::nullopt;
}

std::optional<std::string> decoded(std::string_view text, std::size_t room) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (plain.size() == room) return std::nullopt;
        plain += text[at];
        if (text[at] != '%') continue;
        const std::string digits(text.substr(at + 1, 2));
        if (digits.size() != 2 || std::isxdigit(static_cast<unsigned char>(digits[0])) == 0 ||
            std::isxdigit(static_cast<unsigned char>(digits[1])) == 0)
            return std::nullopt;
        plain.back() = static_cast<char>(std::stoi(digits, nullptr, 16));
        at += 2;
    }
    return plain;
}

// CRC-32 bit by bit, as six digits.
std::string checksum(std::string_view text) {
    std::uint32_t crc = ~0U;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit)
            crc = crc >> 1U ^ (0xEDB8'8320U & -(crc & 1U));
    }
    crc = ~crc;
    std::string digits(6, '0');
    for (std::size_t at = 6; at-- > 0; crc /= 62)
        digits[at] = kBase62[crc % 62];
    return digits;
}

void check_made_key(std::string_view prefix, const std::array<std::uint8_t, 32>& random) {
    const std::string key = make_key(prefix, random);
    ASSERT_EQ(key.size(), prefix.size() + 49);
    ASSERT_TRUE(key.starts_with(prefix) && checksum_matches(key));
    ASSERT_EQ(key.substr(key.size() - 6), checksum(key.substr(0, key.size() - 6)));
    // The 43 digits are the number.
    std::array<std::uint8_t, 32> number{};
    for (const char digit : key.substr(prefix.size(), 43)) {
        auto carry = static_cast<unsigned>(kBase62.find(digit));
        for (std::size_t at = 32; at-- > 0; carry >>= 8U) {
            carry += number[at] * 62U;
            number[at] = static_cast<std::uint8_t>(carry);
        }
        ASSERT_EQ(carry, 0U);
    }
    ASSERT_EQ(number, random);
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey;
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const auto at = data.ConsumeIntegral<std::uint8_t>();
    const auto length = data.ConsumeIntegralInRange<std::size_t>(0, 15);
    const auto room = data.ConsumeIntegralInRange<std::size_t>(0, 600);
    const std::string text = data.ConsumeRemainingBytesAsString();
    const std::string part = text.substr(std::min<std::size_t>(at, text.size()), length);
    const Exact exact(text);

    EXPECT_EQ(judged(parse_authorization(exact)), token_in(text));
    const std::string key = trimmed(text);
    EXPECT_EQ(judged(parse_key(exact)), key.size() <= kMaxKeyBytes && is_token(key) ? key : "");
    EXPECT_EQ(is_token68(exact), is_token(text));
    EXPECT_EQ(find_cookie(exact, Exact(part)), cookie_in(text, part));
    const std::unique_ptr<char[]> plain(new char[room]);
    EXPECT_EQ(percent_decode(exact, {plain.get(), room}), decoded(text, room));

    const bool has_checksum =
        text.size() >= 49 && text.substr(text.size() - 6) == checksum(text.substr(0, text.size() - 6));
    EXPECT_EQ(checksum_matches(exact), has_checksum);
    EXPECT_EQ(display_prefix(exact), text.substr(0, 12));
    std::array<std::uint8_t, 32> random{};
    std::copy_n(text.begin(), std::min(text.size(), random.size()), random.begin());
    check_made_key(part, random);
    return 0;
}
