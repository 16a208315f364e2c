#include "sidecar/usage_batch.hpp"

#include <algorithm>
#include <optional>

#include "core/decimal.hpp"

namespace apikey {
namespace {

constexpr std::size_t kKeyColumns = 2;
constexpr std::size_t kRowColumns = 11;
constexpr std::string_view kEndsPlainText("\t\n\\\r\0", 5);

std::optional<std::string_view> field(const UsageEntry& entry, std::string_view name) {
    for (const auto& [its_name, value] : entry.fields) {
        if (its_name == name) return value;
    }
    return std::nullopt;
}

std::string at_line(std::size_t line) {
    return "line " + std::to_string(line + 1);
}

Result<std::size_t> lines_in(const UsageEntry& entry, std::string_view name, std::size_t columns,
                             std::string_view& lines) {
    const auto text = field(entry, name);
    if (!text) return Error{"it has no field \"" + std::string(name) + "\""};
    lines = *text;
    auto count = count_lines(lines, columns);
    if (!count) return Error{std::string(name) + ": " + count.error()};
    return count;
}

std::string_view first_columns(std::string_view line, int count) {
    std::size_t end = 0;
    while (count-- > 0)
        end = line.find('\t', end) + 1;
    return line.substr(0, end);
}

}  // namespace

std::size_t UsageEntry::bytes() const noexcept {
    std::size_t sum = 0;
    for (const auto& [name, value] : fields)
        sum += name.size() + value.size();
    return sum;
}

// COPY ends a line at LF, unless a backslash is before it; takes \. for the end of everything, wherever it stands; and takes
// CR for the end of lines when the first line ends so.
Result<std::size_t> count_lines(std::string_view text, std::size_t columns) {
    std::size_t lines = 0;
    std::size_t tabs = 0;
    std::size_t begin = 0;
    for (std::size_t at = 0; (at = text.find_first_of(kEndsPlainText, at)) != std::string_view::npos; ++at) {
        switch (text[at]) {
            case '\t': ++tabs; break;
            case '\n':
                if (tabs + 1 != columns) return Error{at_line(lines) + " has " + std::to_string(tabs + 1) + " columns"};
                tabs = 0;
                begin = at + 1;
                ++lines;
                break;
            case '\\':
                ++at;
                if (at == text.size() || text[at] == '\n' || text[at] == '.')
                    return Error{at_line(lines) + " has a backslash that would end it otherwise"};
                if (text[at] == '\r' || text[at] == '\0') return Error{at_line(lines) + " has a raw control byte"};
                break;
            default: return Error{at_line(lines) + " has a raw control byte"};
        }
    }
    if (begin != text.size()) return Error{at_line(lines) + " does not end"};
    return lines;
}

Result<UsageBatch> batch_of(const UsageEntry& entry) {
    UsageBatch batch;
    batch.entry = &entry;
    const auto id = usage::parse_batch_id(field(entry, usage::kBatchField).value_or(""));
    if (!id) return Error{"its field \"batch\" is no id"};
    batch.id = *id;
    const auto sealed = parse_decimal(field(entry, usage::kSealedField).value_or(""));
    if (!sealed || *sealed >> 62 != 0) return Error{"its field \"sealed\" is no time"};
    batch.sealed = static_cast<std::int64_t>(*sealed);
    const auto keys = lines_in(entry, usage::kKeysField, kKeyColumns, batch.keys);
    if (!keys) return Error{keys.error()};
    batch.key_count = *keys;
    const auto rows = lines_in(entry, usage::kRowsField, kRowColumns, batch.rows);
    if (!rows) return Error{rows.error()};
    batch.row_count = *rows;
    return batch;
}

std::vector<UsageRow> rows_in_order(std::span<const UsageBatch> batches, bool by_minute) {
    std::vector<UsageRow> rows;
    for (std::size_t i = 0; i < batches.size(); ++i) {
        for (std::string_view lines = batches[i].rows; !lines.empty();) {
            const std::size_t end = lines.find('\n') + 1;
            rows.push_back({lines.substr(0, end), i});
            lines.remove_prefix(end);
        }
    }
    std::sort(rows.begin(), rows.end(), [](const UsageRow& a, const UsageRow& b) { return a.line < b.line; });
    constexpr int kKey = 2;
    constexpr int kStatus = 6;
    for (std::size_t i = 1; i < rows.size(); ++i) {
        const std::string_view place = first_columns(rows[i].line, by_minute ? kStatus : kKey);
        if (rows[i - 1].line.starts_with(place)) rows[i - 1].twin = rows[i].twin = true;
    }
    return rows;
}

std::string_view RowLines::next() {
    piece_.clear();
    for (; !rows_.empty() && piece_.size() < NumberedLines::kPieceBytes; rows_ = rows_.subspan(1)) {
        piece_ += std::to_string(rows_.front().batch);
        piece_ += rows_.front().twin ? "\tt\t" : "\tf\t";
        piece_ += rows_.front().line;
    }
    return piece_;
}

std::string_view NumberedLines::next() {
    piece_.clear();
    for (; at_ < texts_.size(); ++at_) {
        auto& [number, lines] = texts_[at_];
        const std::string before = std::to_string(number) + '\t';
        while (!lines.empty()) {
            if (piece_.size() >= kPieceBytes) return piece_;
            const std::size_t end = std::min(lines.find('\n'), lines.size() - 1) + 1;
            piece_ += before;
            piece_ += lines.substr(0, end);
            lines.remove_prefix(end);
        }
    }
    return piece_;
}

}  // namespace apikey
