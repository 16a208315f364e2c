// The values of a row, each by its own rule. Messages say what is wrong and what to write instead.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace apikey {

// Of a cost, before and behind the point.
inline constexpr std::size_t kMostCostDigits = 30;
// Of an endpoint, or a model.
inline constexpr std::size_t kMostLabelBytes = 1024;

// What is wrong, or nothing.
using Complaint = std::optional<std::string>;

// UTF-8 without NUL, of at most `most` bytes.
Complaint check_text(std::string_view text, std::size_t most);
// Such a text that is not empty and has no control bytes.
Complaint check_id(std::string_view text, std::size_t most);
// A whole number, 0 to 2^63 - 1.
Complaint check_count(std::string_view text);

// As Postgres reads it: in UTC, with its zone.
Result<std::string> time_from(std::string_view text);

// Digits, with a point between them or without: the same text.
Result<std::string> cost_from_csv(std::string_view text);
// `number` is a JSON number; an exponent is expanded.
Result<std::string> cost_from_json(std::string_view number);

// Text that a spreadsheet would take for a formula has one ' in front in CSV (DESIGN §3.3); this takes it away again.
std::string_view without_guard(std::string_view text);

}  // namespace apikey
