// Rows of usage, as exports have them (DESIGN §3.3), from CSV or JSON.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "core/transfer/queries.hpp"
#include "sidecar/imports/copy_file.hpp"
#include "sidecar/imports/field_checks.hpp"
#include "sidecar/imports/row_errors.hpp"
#include "sidecar/imports/row_reader.hpp"

namespace apikey {

inline constexpr std::array<std::string_view, 7> kUsageColumns = {"date", "endpoint", "requests", "tokens",
                                                                  "cost", "model",    "status"};
enum class UsageColumn : std::uint8_t { date, endpoint, requests, tokens, cost, model, status };

// Of the lines: the number of the row, so that of two that say the same the first is taken, and its values.
inline constexpr const char* kUsageCopyColumns = "number, bucket, endpoint, requests, tokens, cost, model, status";

// One row at a time, value by value.
class UsageRows {
  public:
    UsageRows(RowErrors& errors, CopyFile& lines) : errors_(errors), lines_(lines) {}

    void begin_row() noexcept { values_ = {}; }
    // A value as it stands in CSV; of a number in JSON.
    void set_text(UsageColumn column, std::string_view text);
    void set_json_number(UsageColumn column, std::string_view number);
    // Writes the line, unless some row so far was bad.
    void end_row(std::uint64_t number);

  private:
    void keep(UsageColumn column, Result<std::string> value);
    void keep(UsageColumn column, std::string_view value, const Complaint& complaint);

    RowErrors& errors_;
    CopyFile& lines_;
    std::array<std::string, kUsageColumns.size()> values_;
};

// Both must outlive the reader.
std::unique_ptr<RowReader> usage_reader(TransferFormat format, RowErrors& errors, CopyFile& lines);

}  // namespace apikey
