#include "sidecar/imports/csv_reader.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/sidecar/cut_anywhere.hpp"

namespace apikey {
namespace {

using test::Pieces;
using Fields = std::vector<std::string>;

struct Read {
    std::vector<Fields> records;
    std::vector<std::uint64_t> lines;
    std::string error;
    bool finished = false;
};

Read read(const Pieces& pieces) {
    Read read;
    CsvReader reader([&](const CsvRecord& record) {
        read.records.emplace_back(record.fields.begin(), record.fields.end());
        read.lines.push_back(record.line);
        EXPECT_EQ(record.number, read.records.size());
        return true;
    });
    bool goes_on = true;
    for (const std::string_view piece : pieces)
        goes_on = goes_on && reader.feed(piece);
    read.finished = goes_on && reader.finish();
    read.error = reader.error();
    EXPECT_EQ(read.finished, read.error.empty());
    return read;
}

struct Good {
    std::string text;
    std::vector<Fields> records;
    std::vector<std::uint64_t> lines;
};

TEST(CsvReader, ReadsWhatRfc4180Allows) {
    const std::vector<Good> table = {
        {"", {}, {}},
        {"a", {{"a"}}, {1}},
        {"a,b\n", {{"a", "b"}}, {1}},
        {"a,b\r\nc,d", {{"a", "b"}, {"c", "d"}}, {1, 2}},
        {"a\nb\r\nc\n", {{"a"}, {"b"}, {"c"}}, {1, 2, 3}},
        {",", {{"", ""}}, {1}},
        {"a,\n,b\n", {{"a", ""}, {"", "b"}}, {1, 2}},
        {" a , b \n", {{" a ", " b "}}, {1}},
        {"\"a\"\"b\"\n", {{"a\"b"}}, {1}},
        {"\"\"\n", {{""}}, {1}},
        {"\"\"", {{""}}, {1}},
        {"\"\"\"\"\n", {{"\""}}, {1}},
        {"\"a,b\",\"c\r\nd\ne\rf\"\ng", {{"a,b", "c\r\nd\ne\rf"}, {"g"}}, {1, 4}},
        {"\xEF\xBB\xBF\"a\"", {{"a"}}, {1}},
        {"\xEF\xBB\xBF", {}, {}},
        {"\xEF\xBB\xBF\xEF\xBB\xBF", {{"\xEF\xBB\xBF"}}, {1}},
        {"\xEF\xBB", {{"\xEF\xBB"}}, {1}},
        {"\xEF\xBB,x", {{"\xEF\xBB", "x"}}, {1}},
        {"a\n\xEF\xBB\xBF", {{"a"}, {"\xEF\xBB\xBF"}}, {1, 2}},
        {"a\n\n\r\n\n", {{"a"}}, {1}},
        {"\n\n", {}, {}},
        {"\na\n\r\n\nb\n", {{""}, {"a"}, {""}, {""}, {"b"}}, {1, 2, 3, 4, 5}},
        {std::string("a\0b\n", 4), {{std::string("a\0b", 3)}}, {1}},
    };
    for (const Good& good : table) {
        test::for_every_cut(good.text, [&](const Pieces& pieces) {
            const Read got = read(pieces);
            EXPECT_TRUE(got.finished) << got.error;
            EXPECT_EQ(got.records, good.records) << testing::PrintToString(good.text);
            EXPECT_EQ(got.lines, good.lines) << testing::PrintToString(good.text);
        });
    }
}

TEST(CsvReader, SaysWhereAndWhyWhatItDoesNotRead) {
    struct Bad {
        std::string text;
        std::string error;
        std::size_t records;
    };
    const std::vector<Bad> table = {
        {"a\nb,\"c\nd", "line 2, column 3: this quote is never closed", 1},
        {"a\nb,\"c\"\"", "line 2, column 3: this quote is never closed", 1},
        {"\"", "line 1, column 1: this quote is never closed", 0},
        {"a\n\"b\nc\"d\n", "line 3, column 3: text after a closing quote", 1},
        {"\"a\" ,b", "line 1, column 4: text after a closing quote", 0},
        {"a,b\"c\n",
         "line 1, column 4: a quote within a field that does not begin with one; quote the field and double the quote",
         0},
        {"a\rb", "line 1, column 3: a carriage return must be followed by a line feed", 0},
        {"a\r", "line 1, column 3: a carriage return must be followed by a line feed", 0},
        {"a\n\r\r\n", "line 2, column 2: a carriage return must be followed by a line feed", 1},
        {"\"a\"\rb", "line 1, column 5: a carriage return must be followed by a line feed", 0},
        {"\xEF\xBB\xBF\"a\"b", "line 1, column 4: text after a closing quote", 0},
    };
    for (const Bad& bad : table) {
        test::for_every_cut(bad.text, [&](const Pieces& pieces) {
            const Read got = read(pieces);
            EXPECT_FALSE(got.finished);
            EXPECT_EQ(got.error, bad.error) << testing::PrintToString(bad.text);
            EXPECT_EQ(got.records.size(), bad.records);
        });
    }
}

TEST(CsvReader, StopsWhenNoMoreIsWanted) {
    for (const std::string text : {"a\nb\nc\n", "a\n\n\nb\n"}) {
        int records = 0;
        CsvReader reader([&](const CsvRecord&) { return ++records < 2; });
        EXPECT_FALSE(reader.feed(text));
        EXPECT_FALSE(reader.feed("d\n"));
        EXPECT_FALSE(reader.finish());
        EXPECT_EQ(records, 2);
        EXPECT_EQ(reader.error(), "");
    }
}

TEST(CsvReader, HasLimits) {
    const std::string most(CsvReader::kMostFieldBytes, 'x');
    EXPECT_EQ(read({most}).records.at(0).at(0), most);
    EXPECT_EQ(read({"\"" + most + "\""}).records.at(0).at(0), most);
    EXPECT_EQ(read({most, "x"}).error, "line 1, column 16385: a field of more than 16 KiB");
    EXPECT_EQ(read({"\"" + most, "x\""}).error,
              "line 1, column 1: this quoted field is longer than 16 KiB; is its quote never closed?");
    EXPECT_EQ(read({"\"" + most, "\"\"\""}).error,
              "line 1, column 1: this quoted field is longer than 16 KiB; is its quote never closed?");
    EXPECT_EQ(read({std::string(CsvReader::kMostColumns - 1, ',')}).records.at(0).size(), CsvReader::kMostColumns);
    EXPECT_EQ(read({std::string(1'000'000, ',')}).error, "line 1, column 65: more than 64 columns");
}

// A gigabyte in one field, or without a line end, is noticed at its beginning.
TEST(CsvReader, TakesNothingMoreAfterTheLimit) {
    const std::string piece(1'000'000, 'x');
    CsvReader reader([](const CsvRecord&) { return true; });
    EXPECT_TRUE(reader.feed("\""));
    EXPECT_FALSE(reader.feed(piece));
    for (int i = 0; i < 1000; ++i)
        EXPECT_FALSE(reader.feed(piece));
    EXPECT_NE(reader.error(), "");
}

// Records by chance, of the bytes that matter, as a writer would write them.
TEST(CsvReader, ReadsBackWhatIsWritten) {
    std::mt19937 random(20261128);
    const std::vector<std::string> parts = {
        "\"", ",", "\r", "\n", "\r\n", "x", " ", "'", "\xEF\xBB\xBF", "\xC3\xA9", std::string(1, '\0')};
    for (int round = 0; round < 3000; ++round) {
        std::vector<Fields> records(1 + random() % 5, Fields(1 + random() % 4));
        std::string text = random() % 2 == 0 ? "\xEF\xBB\xBF" : "";
        for (Fields& record : records) {
            for (std::string& field : record) {
                for (std::size_t i = random() % 5; i > 0; --i)
                    field += parts[random() % parts.size()];
                text += &field == &record.front() ? "" : ",";
                const bool must = field.find_first_of("\",\r\n") != std::string::npos || record.size() == 1 ||
                                  field.starts_with("\xEF\xBB\xBF");
                if (!must && random() % 2 == 0) {
                    text += field;
                    continue;
                }
                text += '"';
                for (const char c : field)
                    text += c == '"' ? "\"\"" : std::string(1, c);
                text += '"';
            }
            if (&record != &records.back() || random() % 2 == 0) text += random() % 2 == 0 ? "\n" : "\r\n";
        }
        const Read got = read(test::cut_by_chance(text, random));
        ASSERT_TRUE(got.finished) << got.error << " in round " << round;
        ASSERT_EQ(got.records, records) << testing::PrintToString(text);
    }
}

}  // namespace
}  // namespace apikey
