// Dates and times as people and programs write them (ISO 8601), and the ranges between two of them (DESIGN §3.3):
//   date := YYYY "-" MM "-" DD
//   time := date "T" hh ":" mm [ ":" ss [ "." 1*6DIGIT ] ] zone       zone := "Z" | ( "+" | "-" ) hh ":" mm
// A time without a zone is refused: nothing is guessed. The years are 1 to 9999.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace apikey {

using Instant = std::chrono::sys_time<std::chrono::microseconds>;  // as exact as Postgres'

struct IsoTime {
    Instant at;              // of a date: its first moment in UTC
    bool whole_day = false;  // it was a date alone
};

// Nothing when it is neither a date nor a time, or impossible (2027-02-29).
std::optional<IsoTime> parse_iso_time(std::string_view text) noexcept;

// 2026-11-28T02:05:00Z, with as many decimals as it needs.
std::string format_iso_time(Instant at);

// 2026-11-28, the day in UTC.
std::string format_iso_date(Instant at);

// Whether a day begins there, in UTC.
inline bool is_midnight(Instant at) noexcept {
    return at == std::chrono::floor<std::chrono::days>(at);
}

// from <= t < until; nothing: without end. Both may be the same, which is an empty range.
struct OpenRange {
    std::optional<Instant> from;
    std::optional<Instant> until;
};

// The range between these two, each of which may be missing. A date as `to` belongs to the range, a time does not. Nothing when `to` is
// before `from`: also a day that ends where `from` begins.
std::optional<OpenRange> open_range(const std::optional<IsoTime>& from, const std::optional<IsoTime>& to) noexcept;

// from <= t < until.
struct TimeRange {
    Instant from;
    Instant until;
};

// What is called how, for the messages.
struct RangeNames {
    const char* from = "--from";
    const char* to = "--to";
};

// The range that `from` and `to` name; either may be empty. A date as `to` belongs to the range, a time does not. Without
// `to` it ends with the day of `now`, without `from` it has `days` days. Error: one is no date or time, or the end is not
// after the beginning; it begins with the name of the parameter.
Result<TimeRange> parse_time_range(std::string_view from, std::string_view to, Instant now, std::chrono::days days,
                                   const RangeNames& names = {});

// For people: "2026-11-01 to 2026-11-30 (UTC)" where both ends are midnight (the last day belongs to it), else
// "2026-11-01T12:00:00Z to before 2026-11-02T00:00:00Z".
std::string describe(const TimeRange& range);

}  // namespace apikey
