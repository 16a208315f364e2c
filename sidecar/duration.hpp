// Durations and sizes as people write them in apikeyd.yaml and on the command line (DESIGN §3.4):
//   duration := digits unit        unit := "s" | "m" | "h" | "d"
//   size     := digits [ SP ] [ "k" | "m" | "g" | "t" [ "ib" ] ]     powers of 1024; without a unit: bytes
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace apikey {

// A number without unit is refused: 30 what? At most 100 years.
Result<std::chrono::seconds> parse_duration(std::string_view text);

// In bytes. Upper and lower case units mean the same.
Result<std::uint64_t> parse_size(std::string_view text);

// The shortest exact notation that parse_duration reads back, e.g. 90s, 24h, 30d.
std::string format_duration(std::chrono::seconds duration);

}  // namespace apikey
