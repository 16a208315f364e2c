// What a request cost, as a text of nginx.conf's variables: an upstream's header, a JSON library's float.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace apikey::usage {

// In 10^-12 of the currency, rounded to the nearest: digits, optionally a fraction and an exponent ("0.00125", "1.25e-3"),
// blanks around it. Nothing when it is no such number, is negative, or is 2^63 or more of these units.
[[nodiscard]] std::optional<std::uint64_t> parse_cost(std::string_view text) noexcept;

// A count of tokens: decimal digits, blanks around them, less than 2^63.
[[nodiscard]] std::optional<std::uint64_t> parse_tokens(std::string_view text) noexcept;

}  // namespace apikey::usage
