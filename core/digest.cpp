// OpenSSL 3 calls SHA256_Init and its fellows deprecated. They stay here, and only here, because every request pays for
// its digest: 51 ns by them, 85 by EVP with a context that is used again (which allocates 112 bytes each time), over 300
// by any one-shot call.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace apikey {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

constexpr std::uint8_t kNoDigit = 0xff;

// The value of each byte as a lower-case hex digit.
constexpr std::array<std::uint8_t, 256> kHexValues = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(kNoDigit);
    for (std::size_t value = 0; value < kHexDigits.size(); ++value)
        values[static_cast<unsigned char>(kHexDigits[value])] = static_cast<std::uint8_t>(value);
    return values;
}();

}  // namespace

DigestHex to_hex(const Digest& digest) noexcept {
    DigestHex hex;
    for (std::size_t i = 0; i < kDigestBytes; ++i) {
        hex[2 * i] = kHexDigits[digest[i] >> 4];
        hex[2 * i + 1] = kHexDigits[digest[i] & 15];
    }
    return hex;
}

std::string to_hex_string(const Digest& digest) {
    const DigestHex hex = to_hex(digest);
    return {hex.data(), hex.size()};
}

std::optional<Digest> from_hex(std::string_view hex) noexcept {
    if (hex.size() != kDigestHexChars) return std::nullopt;
    const auto value_at = [hex](std::size_t i) noexcept { return kHexValues[static_cast<unsigned char>(hex[i])]; };
    Digest digest;
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < kDigestBytes; ++i) {
        const std::uint8_t high = value_at(2 * i);
        const std::uint8_t low = value_at(2 * i + 1);
        seen |= high | low;
        digest[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    if (seen > 0xf) return std::nullopt;
    return digest;
}

bool equal(const Digest& a, const Digest& b) noexcept {
    return CRYPTO_memcmp(a.data(), b.data(), kDigestBytes) == 0;
}

bool sha256(std::string_view bytes, Digest& digest) noexcept {
    SHA256_CTX context;
    return SHA256_Init(&context) == 1 && SHA256_Update(&context, bytes.data(), bytes.size()) == 1 &&
           SHA256_Final(digest.data(), &context) == 1;
}

}  // namespace apikey
