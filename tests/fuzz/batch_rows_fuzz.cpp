// Usage on its way to COPY, without Postgres (batch_copy has one): what nginx writes is accepted and says the same to whoever
// reads it as COPY does; and what is accepted, whatever it is, has as many lines and columns for COPY as it was said to have,
// also among its neighbours. The last byte chooses; the rest is the text, or says what nginx counted.
#include "sidecar/usage_batch.hpp"

#include "tests/fuzz/usage_lines.hpp"

namespace apikey::test {
namespace {

const std::string kBatchId = std::string(32, 'a') + " 1 2";

void check_written(FuzzedDataProvider& data) {
    const UsageLines lines = draw_lines(data);
    const UsageEntry entry{"1-1", {{"batch", kBatchId}, {"sealed", "3"}, {"keys", lines.keys}, {"rows", lines.rows}}};
    const auto batch = batch_of(entry);
    ASSERT_TRUE(batch.ok()) << batch.error();
    EXPECT_EQ(batch->row_count, lines.row_fields.size());
    EXPECT_EQ(batch->key_count, lines.key_fields.size());
    EXPECT_EQ(read_copy_lines(batch->rows), lines.row_fields);
    EXPECT_EQ(read_copy_lines(batch->keys), lines.key_fields);
}

void check_among_neighbours(std::string_view text, std::vector<CopyFields> lines) {
    NumberedLines numbered;
    numbered.add(0, "before\t.\n");
    numbered.add(1, text);
    numbered.add(2, "behind\\\\\t\\N\n");
    std::string all;
    for (std::string_view piece = numbered.next(); !piece.empty(); piece = numbered.next())
        all += piece;
    for (CopyFields& line : lines)
        line.insert(line.begin(), "1");
    lines.insert(lines.begin(), {"0", "before", "."});
    lines.push_back({"2", "behind\\", std::nullopt});
    EXPECT_EQ(read_copy_lines(all), lines);
}

void check_any(const std::string& text, std::size_t columns) {
    const auto count = count_lines(Exact(text), columns);
    const auto read = read_copy_lines(text);
    if (!count) {
        EXPECT_TRUE(count.error().starts_with("line ")) << count.error();
        return;
    }
    ASSERT_TRUE(read) << "COPY refuses all of it";
    ASSERT_EQ(read->size(), *count);
    for (const CopyFields& line : *read)
        EXPECT_EQ(line.size(), columns);
    check_among_neighbours(text, *read);
}

// An entry of the stream of any fields: a batch, or a reason without its content.
void check_any_entry(FuzzedDataProvider& data, const std::string& text) {
    constexpr const char* kNames[] = {"batch", "sealed", "keys", "rows", "other"};
    const std::string words[] = {kBatchId, "3", "", "k\tt\n", text};
    UsageEntry entry{"1-1", {}};
    for (const char* name : kNames)
        if (data.ConsumeIntegralInRange(0, 15) != 0) entry.fields.emplace_back(name, data.PickValueInArray(words));
    const auto batch = batch_of(entry);
    if (!batch) return;
    EXPECT_EQ(usage::batch_text(batch->id), entry.fields[0].second);
    EXPECT_TRUE(batch->sealed >= 0);
    EXPECT_EQ(*count_lines(batch->rows, kRowFields), batch->row_count);
    EXPECT_EQ(*count_lines(batch->keys, kKeyFields), batch->key_count);
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const auto how = data.ConsumeIntegralInRange<std::size_t>(0, 15);
    if (how < 4) {
        check_written(data);
        return 0;
    }
    const std::string text =
        data.ConsumeBytesAsString(data.remaining_bytes() - std::min<std::size_t>(data.remaining_bytes(), 10));
    check_any(text, how == 4 ? kRowFields : how == 5 ? kKeyFields : how - 5);
    check_any_entry(data, text);
    return 0;
}
