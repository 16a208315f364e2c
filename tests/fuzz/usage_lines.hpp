// Lines of usage as nginx writes them, of what the input chooses, and what each is to mean.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/usage/batch_text.hpp"
#include "core/utf8.hpp"
#include "tests/fuzz/copy_reader.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {

inline constexpr std::size_t kRowFields = 11;
inline constexpr std::size_t kKeyFields = 2;
inline constexpr std::string_view kKeyId = "0f8b7a1e-3c55-4d8b-9a43-8f2f6f0a9c11";

struct UsageLines {
    std::string rows;
    std::string keys;
    std::vector<CopyFields> row_fields;
    std::vector<CopyFields> key_fields;
};

// Any bytes, as nginx makes a label of them.
inline std::string draw_label(FuzzedDataProvider& data) {
    const std::string any = data.ConsumeRandomLengthString(40);
    std::array<char, 32> room;
    return std::string(clean_utf8(any, room));
}

inline std::uint64_t draw_number(FuzzedDataProvider& data) {
    return data.ConsumeIntegral<std::uint64_t>() >> (1 + data.ConsumeIntegral<std::uint8_t>() % 63);
}

template <class Write>
std::string written(Write write) {
    std::array<char, 1024> room;
    usage::LineWriter line(room.data(), room.size());
    write(line);
    EXPECT_TRUE(line.fits());
    return {room.data(), line.size()};
}

inline void add_row(FuzzedDataProvider& data, UsageLines& lines) {
    CopyFields fields{draw_label(data), std::string(kKeyId)};
    const auto unix_minute = static_cast<std::int64_t>(draw_number(data) >> data.ConsumeIntegralInRange(0, 40));
    fields.emplace_back(written([&](usage::LineWriter& line) { line.minute(unix_minute); }));
    fields.emplace_back(draw_label(data));
    fields.emplace_back(draw_label(data));
    fields.emplace_back(data.ConsumeBool() ? usage::kSuccess : usage::kFailure);
    std::array<std::uint64_t, 4> numbers{};
    for (std::uint64_t& number : numbers)
        fields.emplace_back(std::to_string(number = draw_number(data)));
    std::optional<std::uint64_t> cost;
    if (data.ConsumeBool()) cost = draw_number(data);
    const std::string cost_text = written([&](usage::LineWriter& line) { line.cost(cost); });
    fields.emplace_back(cost ? std::optional(cost_text) : std::nullopt);
    lines.rows += written([&](usage::LineWriter& line) {
        line.text(*fields[0]).tab().text(kKeyId).tab().minute(unix_minute).tab();
        line.text(*fields[3]).tab().text(*fields[4]).tab().word(*fields[5]);
        for (const std::uint64_t number : numbers)
            line.tab().number(number);
        line.tab().cost(cost).end();
    });
    lines.row_fields.push_back(fields);
}

inline void add_key(FuzzedDataProvider& data, UsageLines& lines) {
    const auto at = static_cast<std::int64_t>(draw_number(data) >> data.ConsumeIntegralInRange(0, 40));
    const std::string instant = written([&](usage::LineWriter& line) { line.instant(at); });
    lines.keys += written([&](usage::LineWriter& line) { line.text(kKeyId).tab().instant(at).end(); });
    lines.key_fields.push_back({std::string(kKeyId), instant});
}

inline UsageLines draw_lines(FuzzedDataProvider& data) {
    UsageLines lines;
    while (data.remaining_bytes() > 0 && lines.row_fields.size() < 20)
        data.ConsumeIntegralInRange(0, 3) == 0 ? add_key(data, lines) : add_row(data, lines);
    return lines;
}

}  // namespace apikey::test
