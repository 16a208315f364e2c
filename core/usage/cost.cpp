#include "core/usage/cost.hpp"

#include <charconv>
#include <limits>

#include "core/decimal.hpp"

namespace apikey::usage {
namespace {

constexpr int kUnitPlaces = 12;
constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr int kMostExponent = 400;  // of a double's text; more is a mistake

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

// The digits of a number, and where its point stands.
struct Decimal {
    std::string_view whole;
    std::string_view fraction;
    int exponent = 0;
};

std::optional<Decimal> split(std::string_view text) noexcept {
    Decimal number;
    const std::size_t mark = text.find_first_of("eE");
    if (mark != std::string_view::npos) {
        std::string_view exponent = text.substr(mark + 1);
        if (exponent.starts_with('+')) exponent.remove_prefix(1);
        const char* const end = exponent.data() + exponent.size();
        const auto [stop, error] = std::from_chars(exponent.data(), end, number.exponent);
        if (error != std::errc{} || stop != end || exponent.front() == '+') return std::nullopt;
        if (number.exponent > kMostExponent || number.exponent < -kMostExponent) return std::nullopt;
        text = text.substr(0, mark);
    }
    const std::size_t point = text.find('.');
    number.whole = text.substr(0, point);
    if (point != std::string_view::npos) number.fraction = text.substr(point + 1);
    if (number.whole.empty() && number.fraction.empty()) return std::nullopt;
    return number;
}

}  // namespace

std::optional<std::uint64_t> parse_cost(std::string_view text) noexcept {
    const auto number = split(trimmed(text));
    if (!number) return std::nullopt;
    std::uint64_t units = 0;
    // The place of a digit: how many powers of ten above a unit it stands.
    int place = static_cast<int>(number->whole.size()) - 1 + number->exponent + kUnitPlaces;
    bool rounds_up = false;
    for (const std::string_view part : {number->whole, number->fraction}) {
        for (const char c : part) {
            if (!is_digit(c)) return std::nullopt;
            const auto digit = static_cast<std::uint64_t>(c - '0');
            if (place >= 0) {
                if (units > (kMost - digit) / 10) return std::nullopt;
                units = units * 10 + digit;
            } else if (place == -1) {
                rounds_up = digit >= 5;
            }
            --place;
        }
    }
    for (; place >= 0 && units != 0; --place) {
        if (units > kMost / 10) return std::nullopt;
        units *= 10;
    }
    if (rounds_up) ++units;
    return units <= kMost ? std::optional(units) : std::nullopt;
}

std::optional<std::uint64_t> parse_tokens(std::string_view text) noexcept {
    const auto count = parse_decimal(trimmed(text));
    return count && *count <= kMost ? count : std::nullopt;
}

}  // namespace apikey::usage
