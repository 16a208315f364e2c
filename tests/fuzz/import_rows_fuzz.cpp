// Files of imports of any bytes in any pieces: cutting changes nothing, memory and errors keep their limits, and lines for COPY are of
// the columns that Postgres is told of.
#include "sidecar/imports/conversation_rows.hpp"
#include "sidecar/imports/usage_rows.hpp"
#include "sidecar/usage_batch.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

namespace apikey::test {
namespace {

struct Read {
    std::string lines;
    std::string other_lines;
    bool malformed = false;
    std::size_t errors = 0;
    std::uint64_t rows = 0;

    friend bool operator==(const Read&, const Read&) = default;
};

std::string all_of(CopyFile& file) {
    std::string all;
    for (std::string_view piece = file.read(); !piece.empty(); piece = file.read())
        all += piece;
    return all;
}

void feed(RowReader& reader, FuzzedDataProvider* cuts, std::string_view text, Read& read) {
    bool is_good = true;
    while (is_good && !text.empty()) {
        const std::size_t length =
            cuts == nullptr ? text.size() : cuts->ConsumeIntegralInRange<std::size_t>(1, text.size());
        is_good = reader.feed(Exact(text.substr(0, length)));
        text.remove_prefix(length);
    }
    read.malformed = !is_good || !reader.finish();
    EXPECT_EQ(read.malformed, !reader.malformed().empty());
    read.rows = reader.rows();
}

void look_at(const ImportOutcome& outcome, Read& read) {
    read.errors = outcome.errors.size() + outcome.more_errors;
    EXPECT_LE(outcome.errors.size(), kMostRowErrors);
    for (const RowError& error : outcome.errors) {
        EXPECT_LE(error.message.size(), 400U) << error.message;
        EXPECT_LE(error.field.size(), 60U) << error.field;
    }
}

std::size_t columns_of(std::string_view names) {
    return static_cast<std::size_t>(std::count(names.begin(), names.end(), ',')) + 1;
}

void expect_lines(const std::string& lines, const char* columns, const Read& read, std::uint64_t most) {
    const auto count = count_lines(lines, columns_of(columns));
    ASSERT_TRUE(count.ok()) << count.error();
    EXPECT_LE(*count, most);
    if (!read.malformed && read.errors == 0 && most == read.rows) EXPECT_EQ(*count, read.rows);
}

Read read_usage(TransferFormat format, FuzzedDataProvider* cuts, const std::string& text) {
    Read read;
    ImportOutcome outcome;
    RowErrors errors(outcome);
    CopyFile lines;
    feed(*usage_reader(format, errors, lines), cuts, text, read);
    look_at(outcome, read);
    read.lines = all_of(lines);
    expect_lines(read.lines, kUsageCopyColumns, read, read.rows);
    return read;
}

Read read_conversations(FuzzedDataProvider* cuts, const std::string& text) {
    Read read;
    ImportOutcome outcome;
    RowErrors errors(outcome);
    ConversationLines lines;
    feed(*conversation_reader(errors, lines), cuts, text, read);
    look_at(outcome, read);
    read.lines = all_of(lines.conversations);
    read.other_lines = all_of(lines.messages);
    expect_lines(read.lines, kConversationCopyColumns, read, read.rows);
    expect_lines(read.other_lines, kMessageCopyColumns, read, text.size());
    return read;
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey;
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const int kind = data.ConsumeIntegralInRange(0, 2);
    std::string text = data.ConsumeRandomLengthString(4'000);
    if (kind == 0) {
        const bool with_header = data.ConsumeBool();
        if (with_header) text.insert(0, "date,endpoint,requests,tokens,cost,model,status\n");
        EXPECT_EQ(read_usage(TransferFormat::csv, &data, text), read_usage(TransferFormat::csv, nullptr, text));
    } else if (kind == 1) {
        EXPECT_EQ(read_usage(TransferFormat::json, &data, text), read_usage(TransferFormat::json, nullptr, text));
    } else {
        EXPECT_EQ(read_conversations(&data, text), read_conversations(nullptr, text));
    }
    return 0;
}
