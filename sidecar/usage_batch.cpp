#include "sidecar/usage_batch.hpp"

#include <algorithm>
#include <functional>
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

std::string_view take_columns(std::string_view& row, std::size_t count) {
    std::size_t end = 0;
    while (count-- > 0)
        end = row.find('\t', end) + 1;
    const std::string_view columns = row.substr(0, end);
    row.remove_prefix(end);
    return columns;
}

// A hash of what says where a row counts: user_id and key_id; minute; endpoint, model and status.
std::size_t place_of(std::string_view row, bool by_minute) {
    constexpr std::size_t kFactor = 0x9E3779B97F4A7C15;  // the order of the parts matters
    const std::hash<std::string_view> hash;
    std::size_t place = hash(take_columns(row, 2));
    const std::string_view minute = take_columns(row, 1);
    if (by_minute) place = place * kFactor + hash(minute);
    return place * kFactor + hash(take_columns(row, 3));
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

std::vector<bool> find_twins(std::span<const UsageBatch> batches, bool by_minute) {
    std::vector<std::pair<std::size_t, std::size_t>> places;  // and which row
    for (const UsageBatch& batch : batches) {
        for (std::size_t begin = 0; begin < batch.rows.size();) {
            const std::size_t end = batch.rows.find('\n', begin);
            places.emplace_back(place_of(batch.rows.substr(begin, end - begin), by_minute), places.size());
            begin = end + 1;
        }
    }
    std::sort(places.begin(), places.end());
    std::vector<bool> twins(places.size());
    for (std::size_t i = 1; i < places.size(); ++i) {
        if (places[i - 1].first == places[i].first) twins[places[i - 1].second] = twins[places[i].second] = true;
    }
    return twins;
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
            if (!marks_.empty()) piece_ += marks_[line_++] ? "t\t" : "f\t";
            piece_ += lines.substr(0, end);
            lines.remove_prefix(end);
        }
    }
    return piece_;
}

}  // namespace apikey
