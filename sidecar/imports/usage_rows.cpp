#include "sidecar/imports/usage_rows.hpp"

#include <algorithm>

#include "core/usage/batch_text.hpp"
#include "sidecar/imports/csv_reader.hpp"
#include "sidecar/imports/json_envelope.hpp"

namespace apikey {
namespace {

// What is longer is too long for every column, and said so from its beginning.
constexpr std::size_t kMostKept = 2 * kMostLabelBytes;

bool is_number(UsageColumn column) {
    return column == UsageColumn::requests || column == UsageColumn::tokens || column == UsageColumn::cost;
}

class UsageCsv : public RowReader {
  public:
    UsageCsv(RowErrors& errors, CopyFile& lines)
        : errors_(errors), rows_(errors, lines), csv_([this](const CsvRecord& record) { return take(record); }) {}

    bool feed(std::string_view bytes) override { return csv_.feed(bytes); }
    bool finish() override {
        if (!csv_.finish()) return false;
        if (!has_header_) refusal_ = "the file is empty; its first line must be " + wanted_header();
        return has_header_;
    }
    [[nodiscard]] std::string malformed() const override { return refusal_.empty() ? csv_.error() : refusal_; }
    [[nodiscard]] std::uint64_t rows() const override { return count_; }

  private:
    bool take(const CsvRecord& record) {
        if (!has_header_) return has_header_ = take_header(record);
        errors_.begin_row(++count_, record.line);
        if (record.fields.size() != kUsageColumns.size()) {
            errors_.add("", "has " + std::to_string(record.fields.size()) + " columns, the first line has " +
                                std::to_string(kUsageColumns.size()));
            return true;
        }
        rows_.begin_row();
        for (std::size_t i = 0; i < kUsageColumns.size(); ++i) {
            const auto column = static_cast<UsageColumn>(columns_[i]);
            const bool is_guarded = column == UsageColumn::endpoint || column == UsageColumn::model;
            rows_.set_text(column, is_guarded ? without_guard(record.fields[i]) : record.fields[i]);
        }
        rows_.end_row(count_);
        return true;
    }

    // False: it is not what it must be, and refusal_ says why.
    bool take_header(const CsvRecord& record) {
        Members members(kUsageColumns);
        const std::string line = "line " + std::to_string(record.line) + ": ";
        for (std::size_t i = 0; i < record.fields.size(); ++i) {
            const auto complaint = members.name(record.fields[i]);
            const auto column = members.current();
            if (complaint || !column) {  // one is the other
                refusal_ =
                    line + "the first line " + with_column(complaint.value_or("")) + "; it must be " + wanted_header();
                return false;
            }
            columns_[i] = *column;
        }
        for (std::size_t i = 0; i < kUsageColumns.size(); ++i) {
            if (members.has(i)) continue;
            refusal_ = line + "the first line has no column \"" + std::string(kUsageColumns[i]) + "\"; it must be " +
                       wanted_header();
            return false;
        }
        return true;
    }

    static std::string with_column(std::string complaint) {
        constexpr std::string_view kMember = "member";
        const std::size_t at = complaint.find(kMember);
        return at == std::string::npos ? complaint : complaint.replace(at, kMember.size(), "column");
    }

    static std::string wanted_header() {
        std::string names;
        for (const std::string_view name : kUsageColumns)
            names += (names.empty() ? "" : ",") + std::string(name);
        return names + " in any order";
    }

    RowErrors& errors_;
    UsageRows rows_;
    CsvReader csv_;
    std::array<std::size_t, kUsageColumns.size()> columns_{};  // what stands in the first, second, ... of a row
    bool has_header_ = false;
    std::uint64_t count_ = 0;
    std::string refusal_;
};

class UsageJson : public JsonEnvelope {
  public:
    UsageJson(RowErrors& errors, CopyFile& lines)
        : JsonEnvelope(errors), usage_(errors, lines), members_(kUsageColumns) {}

  private:
    void begin_row() override {
        members_.begin();
        usage_.begin_row();
    }

    void take_in_row(const JsonEvent& event) override {
        if (skipped_.is_open()) return skipped_.take(event);
        if (event.kind == JsonKind::name) {
            if (auto complaint = members_.name(event.text)) errors().add("", std::move(*complaint));
            return;
        }
        skipped_.begin(event);
        if (!members_.current()) return;
        const auto column = static_cast<UsageColumn>(*members_.current());
        if (event.kind == JsonKind::null && column == UsageColumn::model) return;  // no model
        if (event.kind != (is_number(column) ? JsonKind::number : JsonKind::text)) {
            errors().add(std::string(kUsageColumns[*members_.current()]),
                         is_number(column) ? "must be a number, without quotes" : "must be a text, in quotes");
        } else if (is_number(column)) {
            usage_.set_json_number(column, event.text);
        } else {
            usage_.set_text(column, event.text);
        }
    }

    void end_row() override {
        for (std::size_t i = 0; i < kUsageColumns.size(); ++i)
            if (!members_.has(i) && static_cast<UsageColumn>(i) != UsageColumn::model)
                errors().add(std::string(kUsageColumns[i]), "is missing");
        usage_.end_row(rows());
    }

    [[nodiscard]] std::size_t most_bytes_in_row() const override { return kMostKept; }

    UsageRows usage_;
    Members members_;
    SkippedValue skipped_;
};

}  // namespace

void UsageRows::set_text(UsageColumn column, std::string_view text) {
    switch (column) {
        case UsageColumn::date: return keep(column, time_from(text));
        case UsageColumn::endpoint:
        case UsageColumn::model: return keep(column, text, check_text(text, kMostLabelBytes));
        case UsageColumn::requests:
        case UsageColumn::tokens: return keep(column, text, check_count(text));
        case UsageColumn::cost: return keep(column, cost_from_csv(text));
        case UsageColumn::status: {
            Complaint complaint;
            if (text != usage::kSuccess && text != usage::kFailure) {
                complaint = quoted_for_message(text) + " is no status; it is success or error";
            }
            return keep(column, text, complaint);
        }
    }
}

void UsageRows::set_json_number(UsageColumn column, std::string_view number) {
    column == UsageColumn::cost ? keep(column, cost_from_json(number)) : set_text(column, number);
}

void UsageRows::keep(UsageColumn column, Result<std::string> value) {
    const auto index = static_cast<std::size_t>(column);
    if (value) {
        values_[index] = std::move(*value);
    } else {
        errors_.add(std::string(kUsageColumns[index]), value.error());
    }
}

void UsageRows::keep(UsageColumn column, std::string_view value, const Complaint& complaint) {
    keep(column, complaint ? Result<std::string>(Error{*complaint}) : Result<std::string>(std::string(value)));
}

void UsageRows::end_row(std::uint64_t number) {
    if (!errors_.none()) return;
    const auto value = [this](UsageColumn column) -> const std::string& {
        return values_[static_cast<std::size_t>(column)];
    };
    lines_.number(number).word(value(UsageColumn::date)).text(value(UsageColumn::endpoint));
    lines_.word(value(UsageColumn::requests)).word(value(UsageColumn::tokens)).word(value(UsageColumn::cost));
    lines_.text(value(UsageColumn::model)).word(value(UsageColumn::status)).end_line();
}

std::unique_ptr<RowReader> usage_reader(TransferFormat format, RowErrors& errors, CopyFile& lines) {
    if (format == TransferFormat::csv) return std::make_unique<UsageCsv>(errors, lines);
    return std::make_unique<UsageJson>(errors, lines);
}

}  // namespace apikey
