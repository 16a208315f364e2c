#include "sidecar/exports/usage_rows.hpp"

#include "sidecar/exports/copy_text.hpp"
#include "sidecar/weather.hpp"

namespace apikey {

using Column = UsageColumn;

bool UsageSum::join(std::string_view line) {
    if (!split_copy_line(line, next_)) throw PostgresError("Postgres sent a line of usage that has not its columns");
    next_line_ = line;
    if (!has_row()) return false;
    for (const auto column : {Column::date, Column::endpoint, Column::model, Column::status})
        if (next_[column] != row_[column]) return false;
    for (std::size_t column = Column::requests; column < Column::count; ++column) {
        std::string sum;
        append_sum(sum, row_[column], next_[column]);
        sums_[column] = std::move(sum);
        row_[column] = sums_[column];
    }
    return true;
}

void UsageSum::begin() {
    line_ = next_line_;
    for (std::size_t column = 0; column < Column::count; ++column) {
        const auto offset = static_cast<std::size_t>(next_[column].data() - next_line_.data());
        row_[column] = std::string_view(line_).substr(offset, next_[column].size());
    }
}

void UsageRowText::append_csv(std::string& out, const UsageColumns& row) {
    read_date(row[Column::date]);
    out += date_;
    out += ',';
    append_as_csv(out, row[Column::endpoint]);
    out += ',';
    out += row[Column::requests];
    out += ',';
    append_sum(out, row[Column::tokens_in], row[Column::tokens_out]);
    out += ',';
    append_trimmed(out, row[Column::cost]);
    out += ',';
    append_as_csv(out, row[Column::model]);
    out += ',';
    append_as_csv(out, row[Column::status]);
    out += '\n';
}

void UsageRowText::append_json(std::string& out, const UsageColumns& row) {
    read_date(row[Column::date]);
    out += R"({"date":")";
    out += date_;
    out += R"(","endpoint":)";
    append_as_json(out, row[Column::endpoint]);
    out += R"(,"requests":)";
    out += row[Column::requests];
    out += R"(,"tokens":)";
    append_sum(out, row[Column::tokens_in], row[Column::tokens_out]);
    out += R"(,"cost":)";
    append_trimmed(out, row[Column::cost]);
    out += R"(,"model":)";
    append_as_json(out, row[Column::model]);
    out += R"(,"status":)";
    append_as_json(out, row[Column::status]);
    out += '}';
}

void UsageRowText::read_date(std::string_view column) {
    if (column == column_) return;
    column_ = column;
    date_.clear();
    append_time(date_, column);
}

}  // namespace apikey
