#include "core/key_format.hpp"

#include <zlib.h>

#include <algorithm>

namespace apikey {
namespace {

constexpr std::string_view kBase62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

using Secret = std::array<char, kSecretDigits>;
using Checksum = std::array<char, kChecksumDigits>;

// The number that the bytes are (most significant first) in base62, by long division.
Secret to_base62(std::array<std::uint8_t, 32> number) noexcept {
    Secret digits;
    for (std::size_t i = digits.size(); i-- > 0;) {
        unsigned remainder = 0;
        for (std::uint8_t& byte : number) {
            const unsigned dividend = remainder * 256 + byte;
            byte = static_cast<std::uint8_t>(dividend / kBase62.size());
            remainder = dividend % kBase62.size();
        }
        digits[i] = kBase62[remainder];
    }
    return digits;
}

Checksum checksum_of(std::string_view text) noexcept {
    uLong rest = crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size());
    Checksum digits;
    for (std::size_t i = digits.size(); i-- > 0;) {
        digits[i] = kBase62[rest % kBase62.size()];
        rest /= kBase62.size();
    }
    return digits;
}

}  // namespace

std::string make_key(std::string_view prefix, const std::array<std::uint8_t, 32>& random) {
    const Secret secret = to_base62(random);
    std::string key;
    key.reserve(prefix.size() + kSecretDigits + kChecksumDigits);
    key += prefix;
    key.append(secret.data(), secret.size());
    const Checksum checksum = checksum_of(key);
    return key.append(checksum.data(), checksum.size());
}

bool checksum_matches(std::string_view key) noexcept {
    if (key.size() < kSecretDigits + kChecksumDigits) return false;
    const Checksum expected = checksum_of(key.substr(0, key.size() - kChecksumDigits));
    return std::equal(expected.begin(), expected.end(), key.end() - kChecksumDigits);
}

std::string_view display_prefix(std::string_view key) noexcept {
    return key.substr(0, kDisplayPrefixChars);
}

}  // namespace apikey
