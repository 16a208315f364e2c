#include "core/iso_time.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace apikey {
namespace {

using std::chrono::days;
using std::chrono::microseconds;
using std::chrono::sys_days;

constexpr std::size_t kMostDecimals = 6;
constexpr Instant kFirst = sys_days(std::chrono::year(1) / 1 / 1);
constexpr Instant kEnd = sys_days(std::chrono::year(10'000) / 1 / 1);

// Exactly `digits` decimal digits at the front, which are taken off.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    int number = 0;
    if (text.size() < digits) return std::nullopt;
    const std::string_view front = text.substr(0, digits);
    const auto [end, error] = std::from_chars(front.begin(), front.end(), number);
    if (error != std::errc{} || end != front.end() || front.front() == '-') return std::nullopt;
    text.remove_prefix(digits);
    return number;
}

// The same, when `separator` stands before them.
std::optional<int> take_number_after(std::string_view& text, char separator, std::size_t digits) {
    if (text.empty() || text.front() != separator) return std::nullopt;
    text.remove_prefix(1);
    return take_number(text, digits);
}

std::optional<sys_days> take_date(std::string_view& text) {
    const auto year = take_number(text, 4);
    const auto month = take_number_after(text, '-', 2);
    const auto day = take_number_after(text, '-', 2);
    if (!year || !month || !day) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) return std::nullopt;
    return sys_days(date);
}

// hh:mm, as a time of the day or a zone's distance.
std::optional<std::chrono::minutes> take_hours_and_minutes(std::string_view& text) {
    const auto hour = take_number(text, 2);
    const auto minute = take_number_after(text, ':', 2);
    if (!hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
    return std::chrono::hours(*hour) + std::chrono::minutes(*minute);
}

// "." and the digits behind it; none is none.
std::optional<microseconds> take_decimals(std::string_view& text) {
    if (text.empty() || text.front() != '.') return microseconds(0);
    text.remove_prefix(1);
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits > kMostDecimals) return std::nullopt;
    int value = *take_number(text, digits);
    for (std::size_t i = digits; i < kMostDecimals; ++i)
        value *= 10;
    return microseconds(value);
}

// What is to be subtracted to get UTC. All of `text` must be the zone.
std::optional<std::chrono::minutes> zone_of(std::string_view text) {
    if (text == "Z") return std::chrono::minutes(0);
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    const bool west = text.front() == '-';
    text.remove_prefix(1);
    const auto distance = take_hours_and_minutes(text);
    if (!distance || !text.empty()) return std::nullopt;
    return west ? -*distance : *distance;
}

// The time of the day and the zone, from the "T" on.
std::optional<microseconds> time_of_day(std::string_view text) {
    if (!text.starts_with('T')) return std::nullopt;
    text.remove_prefix(1);
    const auto time = take_hours_and_minutes(text);
    if (!time) return std::nullopt;
    microseconds sum = *time;
    if (text.starts_with(':')) {
        const auto second = take_number_after(text, ':', 2);
        const auto decimals = second ? take_decimals(text) : std::nullopt;
        if (!decimals || *second > 59) return std::nullopt;
        sum += std::chrono::seconds(*second) + *decimals;
    }
    const auto zone = zone_of(text);
    if (!zone) return std::nullopt;
    return sum - *zone;
}

// At least `width` digits.
std::string padded(std::int64_t number, std::size_t width) {
    std::string digits = std::to_string(number);
    if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
    return digits;
}

std::string date_text(sys_days day) {
    const std::chrono::year_month_day date(day);
    return padded(static_cast<int>(date.year()), 4) + "-" + padded(static_cast<unsigned>(date.month()), 2) + "-" +
           padded(static_cast<unsigned>(date.day()), 2);
}

Error no_time(const char* name, std::string_view text) {
    return Error{std::string(name) + " \"" + std::string(text) +
                 "\" is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z)"};
}

// The end of a range whose last part it is.
Instant end_of(const IsoTime& time) {
    return time.at + (time.whole_day ? days(1) : days(0));
}

}  // namespace

std::optional<IsoTime> parse_iso_time(std::string_view text) noexcept {
    const auto date = take_date(text);
    if (!date) return std::nullopt;
    IsoTime time{*date, text.empty()};
    if (!time.whole_day) {
        const auto of_day = time_of_day(text);
        if (!of_day) return std::nullopt;
        time.at += *of_day;
    }
    if (time.at < kFirst || time.at >= kEnd) return std::nullopt;
    return time;
}

std::string format_iso_time(Instant at) {
    const auto day = std::chrono::floor<days>(at);
    const std::chrono::hh_mm_ss<microseconds> time(at - day);
    std::string text = date_text(day) + "T" + padded(time.hours().count(), 2) + ":" +
                       padded(time.minutes().count(), 2) + ":" + padded(time.seconds().count(), 2);
    if (time.subseconds().count() != 0) {
        text += "." + padded(time.subseconds().count(), 6);
        text.resize(text.find_last_not_of('0') + 1);
    }
    return text + "Z";
}

Result<TimeRange> parse_time_range(std::string_view from, std::string_view to, Instant now, days most,
                                   const RangeNames& names) {
    TimeRange range{{}, std::chrono::floor<days>(now) + days(1)};
    if (!to.empty()) {
        const auto end = parse_iso_time(to);
        if (!end) return no_time(names.to, to);
        range.until = end_of(*end);
    }
    range.from = std::max(range.until - most, kFirst);
    if (from.empty()) return range;
    const auto begin = parse_iso_time(from);
    if (!begin) return no_time(names.from, from);
    range.from = begin->at;
    if (range.from < range.until) return range;
    if (to.empty()) return Error{std::string(names.from) + " \"" + std::string(from) + "\" is in the future"};
    return Error{std::string(names.to) + " \"" + std::string(to) + "\" is not after " + names.from + " \"" +
                 std::string(from) + "\""};
}

std::string format_iso_date(Instant at) {
    return date_text(std::chrono::floor<days>(at));
}

std::optional<OpenRange> open_range(const std::optional<IsoTime>& from, const std::optional<IsoTime>& to) noexcept {
    OpenRange range;
    if (from) range.from = from->at;
    if (to) range.until = end_of(*to);
    if (from && to && (range.until < range.from || (to->whole_day && range.until == range.from))) return std::nullopt;
    return range;
}

std::string describe(const TimeRange& range) {
    if (!is_midnight(range.from) || !is_midnight(range.until)) {
        return format_iso_time(range.from) + " to before " + format_iso_time(range.until);
    }
    return format_iso_date(range.from) + " to " + format_iso_date(range.until - days(1)) + " (UTC)";
}

}  // namespace apikey
