#include "sidecar/imports/field_checks.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/byte_run.hpp"
#include "core/decimal.hpp"
#include "core/iso_time.hpp"
#include "core/transfer/query_string.hpp"
#include "core/utf8.hpp"

namespace apikey {
namespace {

constexpr std::string_view kDigits = "0123456789";
// No mantissa that a JsonEvents hands on can bring a larger one back to what fits.
constexpr int kLargestExponent = 10'000;

bool is_all_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos;
}

Error too_many_digits(std::string_view text) {
    const std::string most = std::to_string(kMostCostDigits);
    return Error{quoted_for_message(text) + " has more than " + most + " digits before the point or " + most +
                 " behind it"};
}

// A number's digits without its point, and how many of them are before it.
struct Decimal {
    std::string digits;
    std::int64_t point = 0;
};

// By so many digits as it needs: no zeros at the front, nor behind the point's last digit.
void trim(Decimal& decimal) {
    const std::size_t zeros = std::min(decimal.digits.find_first_not_of('0'), decimal.digits.size());
    decimal.digits.erase(0, zeros);
    decimal.point -= static_cast<std::int64_t>(zeros);
    while (!decimal.digits.empty() && decimal.digits.back() == '0' &&
           static_cast<std::int64_t>(decimal.digits.size()) > decimal.point) {
        decimal.digits.pop_back();
    }
    if (decimal.digits.empty()) decimal.point = 0;
}

std::string written(const Decimal& decimal) {
    const auto size = static_cast<std::int64_t>(decimal.digits.size());
    if (decimal.point <= 0) {
        if (size == 0) return "0";
        return "0." + std::string(static_cast<std::size_t>(-decimal.point), '0') + decimal.digits;
    }
    if (decimal.point >= size) return decimal.digits + std::string(static_cast<std::size_t>(decimal.point - size), '0');
    const auto point = static_cast<std::size_t>(decimal.point);
    return decimal.digits.substr(0, point) + "." + decimal.digits.substr(point);
}

// Behind the "e": what is too large for a number is as large as counts.
int exponent_of(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    const int most = text.starts_with('-') ? -kLargestExponent : kLargestExponent;
    int exponent = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), exponent);
    if (error != std::errc{}) return most;
    return std::clamp(exponent, -kLargestExponent, kLargestExponent);
}

}  // namespace

Complaint check_text(std::string_view text, std::size_t most) {
    if (text.size() > most) return "is longer than " + std::to_string(most) + " bytes";
    if (!is_utf8(text)) return "is not UTF-8";
    if (text.find('\0') != std::string_view::npos) return "holds a NUL character, which Postgres has no room for";
    return std::nullopt;
}

Complaint check_id(std::string_view text, std::size_t most) {
    if (text.empty()) return "must not be empty";
    if (auto complaint = check_text(text, most)) return complaint;
    if (has_control_byte(text)) return quoted_for_message(text) + " has control characters";
    return std::nullopt;
}

Complaint check_count(std::string_view text) {
    const auto number = parse_decimal(text);
    if (number && *number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    if (is_all_digits(text)) return quoted_for_message(text) + " is larger than 9223372036854775807";
    return quoted_for_message(text) + " is no whole number; write digits only, as 12";
}

Result<std::string> time_from(std::string_view text) {
    if (const auto time = parse_iso_time(text)) return format_iso_time(time->at);
    return Error{quoted_for_message(text) +
                 " is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z) of the years 1 to 9999"};
}

Result<std::string> cost_from_csv(std::string_view text) {
    const std::size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    const std::string_view behind = text.substr(std::min(point + 1, text.size()));
    if (!is_all_digits(whole) || (point < text.size() && !is_all_digits(behind))) {
        return Error{quoted_for_message(text) + " is no decimal number of 0 or more; write it as 0.0125"};
    }
    if (whole.size() > kMostCostDigits || behind.size() > kMostCostDigits) return too_many_digits(text);
    return std::string(text);
}

Result<std::string> cost_from_json(std::string_view number) {
    const std::size_t end = std::min(number.find_first_of("eE"), number.size());
    if (end == number.size()) return cost_from_csv(number);
    const std::string_view mantissa = number.substr(0, end);
    if (mantissa.starts_with('-')) return cost_from_csv(number);  // which says what is wrong
    const std::size_t point = std::min(mantissa.find('.'), end);
    Decimal decimal;
    decimal.digits = std::string(mantissa.substr(0, point)) + std::string(mantissa.substr(std::min(point + 1, end)));
    decimal.point = static_cast<std::int64_t>(point) + exponent_of(number.substr(end + 1));
    trim(decimal);
    const std::int64_t behind = static_cast<std::int64_t>(decimal.digits.size()) - decimal.point;
    constexpr auto kMost = static_cast<std::int64_t>(kMostCostDigits);
    if (decimal.point > kMost || behind > kMost) return too_many_digits(number);
    return written(decimal);
}

std::string_view without_guard(std::string_view text) {
    const std::size_t behind = text.find_first_not_of('\'');
    if (behind == 0 || behind == std::string_view::npos) return text;
    static constexpr std::string_view kFormula = "=+-@\t\r";
    return kFormula.find(text[behind]) == std::string_view::npos ? text : text.substr(1);
}

}  // namespace apikey
