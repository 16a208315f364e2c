// What a reader of imports makes of a text: the lines for COPY, and its errors as "row 3 (line 4) cost: why".
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/imports/copy_file.hpp"
#include "sidecar/imports/row_errors.hpp"
#include "sidecar/imports/row_reader.hpp"
#include "tests/sidecar/cut_anywhere.hpp"

namespace apikey::test {

struct Reading {
    std::string lines;
    std::vector<std::string> errors;
    std::uint64_t more_errors = 0;
    std::uint64_t rows = 0;
    std::string malformed;

    friend bool operator==(const Reading&, const Reading&) = default;
};

inline std::string all_of(CopyFile& file) {
    std::string all;
    for (std::string_view piece = file.read(); !piece.empty(); piece = file.read())
        all += piece;
    return all;
}

inline void feed_all(RowReader& reader, const Pieces& pieces, const ImportOutcome& outcome, Reading& reading) {
    bool is_good = true;
    for (const std::string_view piece : pieces)
        is_good = is_good && reader.feed(piece);
    if (!is_good || !reader.finish()) reading.malformed = reader.malformed();
    EXPECT_EQ(reader.malformed().empty(), reading.malformed.empty());
    reading.rows = reader.rows();
    reading.more_errors = outcome.more_errors;
    for (const RowError& error : outcome.errors) {
        const std::string line = error.line == 0 ? "" : " (line " + std::to_string(error.line) + ")";
        reading.errors.push_back("row " + std::to_string(error.row) + line + " " + error.field + ": " + error.message);
    }
}

}  // namespace apikey::test
