// SHA-256 of a presented key: what the database, Redis and the caches know a key by (DESIGN:
// `key_hash`).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX
struct evp_md_st;      // OpenSSL's EVP_MD

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

// Hashes keys with one EVP context that is made once and used again, which costs a quarter of any
// one-shot call. One instance per thread (nginx: per worker); not thread-safe.
class Sha256 {
  public:
    // Throws std::bad_alloc when OpenSSL has no memory or no SHA-256.
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    // SHA-256 of `bytes`; nothing when OpenSSL refuses (then the caller cannot know and must not
    // let pass). Allocates nothing itself; OpenSSL 3.0 takes 112 bytes for the state of each digest.
    [[nodiscard]] std::optional<Digest> of(std::string_view bytes) noexcept;

  private:
    evp_md_ctx_st* context_;
    evp_md_st* algorithm_;
};

}  // namespace apikey
