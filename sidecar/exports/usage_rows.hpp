// Rows of usage as the exports write them, out of the lines of copy_usage().
//
// Postgres sends a line for each key and source; those of one bucket, endpoint, model and status follow each other, and are added up
// here. That takes Postgres half the time of a GROUP BY.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace apikey {

inline constexpr std::string_view kUsageCsvHeader = "date,endpoint,requests,tokens,cost,model,status\n";

// In the order of copy_usage(), as COPY writes them.
struct UsageColumn {
    enum : std::size_t { date, endpoint, model, status, requests, tokens_in, tokens_out, cost, count };
};
using UsageColumns = std::array<std::string_view, UsageColumn::count>;

// Adds lines up to rows.
class UsageSum {
  public:
    // Whether `line` belongs to the row that the lines before make: then it is added to that. Throws PostgresError when it is no
    // such line.
    bool join(std::string_view line);
    // The line of the last join() begins another row.
    void begin();
    // False before the first begin().
    [[nodiscard]] bool has_row() const noexcept { return !line_.empty(); }
    // Valid until the next begin().
    [[nodiscard]] const UsageColumns& row() const noexcept { return row_; }

  private:
    std::string_view next_line_;
    UsageColumns next_;
    std::string line_;  // the first of the row
    UsageColumns row_;
    std::array<std::string, UsageColumn::count> sums_;  // what stands in row_ instead, once lines were added
};

class UsageRowText {
  public:
    // Each appends one row: a line with its end, or an object.
    void append_csv(std::string& out, const UsageColumns& row);
    void append_json(std::string& out, const UsageColumns& row);
    // Of the row before: 2026-11-28T02:05:00Z. Empty when there was none.
    [[nodiscard]] const std::string& date() const noexcept { return date_; }

  private:
    void read_date(std::string_view column);

    std::string column_;  // many rows in a row have the same date
    std::string date_;
};

}  // namespace apikey
