// What people type about a key, checked before it reaches the database (DESIGN §3.4).
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace apikey {

inline constexpr std::size_t kMaxNameChars = 200;

// 1 to 200 characters of UTF-8 without control characters.
Result<std::string> check_name(std::string_view text);

// Any UTF-8 without control characters that Redis' images have room for.
Result<std::string> check_user(std::string_view text);

// Each a scope-token of RFC 6749; the same one twice is one.
Result<std::vector<std::string>> check_scopes(const std::vector<std::string>& scopes);

// When a key ends: a duration from `now` (30d), a date (2027-01-01: its first second in UTC) or a time
// (2027-01-01T12:00:00Z). Error: none of these, impossible (2027-02-30), or not after `now`.
Result<std::chrono::sys_seconds> parse_expiry(std::string_view text, std::chrono::sys_seconds now);

}  // namespace apikey
