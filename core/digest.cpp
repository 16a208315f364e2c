#include "core/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <new>

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

Sha256::Sha256() : context_(EVP_MD_CTX_new()), algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)) {
    if (context_ != nullptr && algorithm_ != nullptr) return;
    EVP_MD_free(algorithm_);
    EVP_MD_CTX_free(context_);
    throw std::bad_alloc();
}

Sha256::~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
}

std::optional<Digest> Sha256::of(std::string_view bytes) noexcept {
    Digest digest;
    unsigned int length = 0;
    if (EVP_DigestInit_ex2(context_, algorithm_, nullptr) != 1 ||
        EVP_DigestUpdate(context_, bytes.data(), bytes.size()) != 1 ||
        EVP_DigestFinal_ex(context_, digest.data(), &length) != 1 || length != kDigestBytes) {
        return std::nullopt;
    }
    return digest;
}

}  // namespace apikey
