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

// The value of a lower-case hex digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

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
    Digest digest;
    for (std::size_t i = 0; i < kDigestBytes; ++i) {
        const int high = hex_value(hex[2 * i]);
        const int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        digest[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
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
