// What has become of an import (DESIGN §3.3): all of it was taken, or nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace apikey {

// More are counted, but not kept.
inline constexpr std::size_t kMostRowErrors = 100;

struct RowError {
    std::uint64_t row = 0;   // of the data, from 1; 0: not about one row
    std::uint64_t line = 0;  // of a CSV file, from 1 (its header); 0: it has none
    std::string field;       // e.g. "cost", "messages[3].role"; empty: the whole row
    std::string message;     // what is wrong and what to write instead; never more than 64 bytes of the file itself
};

struct ImportOutcome {
    std::uint64_t imported = 0;
    std::uint64_t skipped = 0;      // were there already
    std::vector<RowError> errors;   // not empty: nothing was imported
    std::uint64_t more_errors = 0;  // beyond kMostRowErrors
    std::string malformed;          // not empty: it is no CSV, or no JSON; says where. Then there are no errors
};

}  // namespace apikey
