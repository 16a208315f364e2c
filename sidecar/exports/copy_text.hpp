// Lines of COPY ... TO STDOUT in Postgres' text format, taken apart and turned into CSV and JSON without a copy in between.
//
//   line  := column ( TAB column )* LF          column := "\N" (NULL) | ( byte | "\" letter )*
//   \b \f \n \r \t \v \\ stand for what they stand for in C; every other byte for itself, and no TAB or LF is one
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace apikey {

inline bool is_null_column(std::string_view column) noexcept {
    return column == "\\N";
}

// The columns of `line`, which must have exactly so many: false otherwise.
template <std::size_t count>
bool split_copy_line(std::string_view line, std::array<std::string_view, count>& columns) noexcept {
    if (line.empty() || line.back() != '\n') return false;
    line.remove_suffix(1);
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t end = i + 1 < count ? line.find('\t') : line.size();
        if (end == std::string_view::npos) return false;
        columns[i] = line.substr(0, end);
        line.remove_prefix(i + 1 < count ? end + 1 : end);
    }
    return columns[count - 1].find('\t') == std::string_view::npos;
}

// What each of these appends stands for the column, which must not be NULL.
void append_plain(std::string& out, std::string_view column);
// A JSON string.
void append_as_json(std::string& out, std::string_view column);
// A field of CSV (RFC 4180), in quotes where it must be or is empty: Postgres takes an empty one without quotes for NULL. Text that a
// spreadsheet would take for a formula (^'*[=+\-@\t\r]) gets one more ' in front.
void append_as_csv(std::string& out, std::string_view column);

// 2026-11-28T02:05:00Z of a timestamptz as it is written in UTC: 2026-11-28 02:05:00+00.
void append_time(std::string& out, std::string_view column);
// A numeric without the zeros that end its decimals.
void append_trimmed(std::string& out, std::string_view digits);
// The exact sum of two numbers of any size, none of them negative: digits, perhaps with decimals.
void append_sum(std::string& out, std::string_view one, std::string_view other);

}  // namespace apikey
