// CSV of any bytes in any pieces: cutting changes nothing, records keep the limits, and what was read is read the same again when it
// is written anew.
#include "sidecar/imports/csv_reader.hpp"

#include <vector>

#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

struct Read {
    std::vector<std::vector<std::string>> records;
    std::string error;

    friend bool operator==(const Read&, const Read&) = default;
};

Read read(FuzzedDataProvider* cuts, std::string_view text) {
    Read read;
    std::uint64_t last_line = 0;
    const std::size_t all = text.size();
    CsvReader reader([&](const CsvRecord& record) {
        read.records.emplace_back(record.fields.begin(), record.fields.end());
        EXPECT_EQ(record.number, read.records.size());
        EXPECT_GT(record.line, last_line);
        last_line = record.line;
        EXPECT_LE(record.fields.size(), CsvReader::kMostColumns);
        for (const std::string_view field : record.fields)
            EXPECT_LE(field.size(), std::min(all, CsvReader::kMostFieldBytes));
        return true;
    });
    while (!text.empty()) {
        const std::size_t length =
            cuts == nullptr ? text.size() : cuts->ConsumeIntegralInRange<std::size_t>(1, text.size());
        reader.feed(Exact(text.substr(0, length)));
        text.remove_prefix(length);
    }
    EXPECT_EQ(reader.finish(), reader.error().empty());
    read.error = reader.error();
    return read;
}

std::string written(const std::vector<std::vector<std::string>>& records) {
    std::string text;
    for (const auto& record : records) {
        for (std::size_t i = 0; i < record.size(); ++i) {
            text += i == 0 ? "\"" : ",\"";
            for (const char c : record[i])
                text += c == '"' ? "\"\"" : std::string(1, c);
            text += '"';
        }
        text += '\n';
    }
    return text;
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const std::string text = data.ConsumeRandomLengthString(4'000);
    const Read whole = read(nullptr, text);
    EXPECT_EQ(read(&data, text).error, whole.error);
    EXPECT_EQ(read(&data, text), whole);
    const Read again = read(nullptr, written(whole.records));
    EXPECT_EQ(again.error, "");
    EXPECT_EQ(again.records, whole.records);
    return 0;
}
