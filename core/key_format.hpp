// The form of the keys that this product makes (DESIGN §3.4):
//   key      := prefix secret checksum
//   secret   := 43 base62 digits, 256 random bits, most significant digit first
//   checksum := 6 base62 digits, CRC-32 (zlib's) of all before it, zero-padded
//   base62   := 0-9 A-Z a-z, in this order
// Presented keys need not have this form: keys that an application made before keep working.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace apikey {

inline constexpr std::size_t kSecretDigits = 43;
inline constexpr std::size_t kChecksumDigits = 6;
inline constexpr std::size_t kDisplayPrefixChars = 12;  // what lists show of a key (`prefix`)

// A key from 256 random bits; the caller takes them from a cryptographic source (RAND_bytes).
std::string make_key(std::string_view prefix, const std::array<std::uint8_t, 32>& random);

// True when the last 6 characters are the checksum of all before them and a secret can stand before
// it. Does not allocate.
bool checksum_matches(std::string_view key) noexcept;

// The part of a key that may be shown again: its first 12 characters.
std::string_view display_prefix(std::string_view key) noexcept;

}  // namespace apikey
