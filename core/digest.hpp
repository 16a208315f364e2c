// SHA-256 of a presented key: what the database, Redis and the caches know a key by (DESIGN:
// `key_hash`).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace apikey {

inline constexpr std::size_t kDigestBytes = 32;
inline constexpr std::size_t kDigestHexChars = 64;

using Digest = std::array<std::uint8_t, kDigestBytes>;
using DigestHex = std::array<char, kDigestHexChars>;

// The 64 lower-case hex digits of `digest`, not zero-terminated.
DigestHex to_hex(const Digest& digest) noexcept;
std::string to_hex_string(const Digest& digest);

// The digest that exactly 64 lower-case hex digits name; nothing else is accepted.
std::optional<Digest> from_hex(std::string_view hex) noexcept;

// Compares in constant time (CRYPTO_memcmp): the time tells nothing about where two digests differ.
bool equal(const Digest& a, const Digest& b) noexcept;

// SHA-256 of `bytes`; false, or nothing, when OpenSSL refuses (then the caller cannot know and must not let pass). Does not
// allocate.
[[nodiscard]] bool sha256(std::string_view bytes, Digest& digest) noexcept;
[[nodiscard]] inline std::optional<Digest> sha256(std::string_view bytes) noexcept {
    Digest digest;
    if (!sha256(bytes, digest)) return std::nullopt;
    return digest;
}

}  // namespace apikey
