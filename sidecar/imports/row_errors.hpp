// What is wrong with the rows of an import: the first ones are kept, the rest is counted.
#pragma once

#include <string>
#include <utility>

#include "sidecar/imports/import_outcome.hpp"

namespace apikey {

class RowErrors {
  public:
    explicit RowErrors(ImportOutcome& outcome) : outcome_(outcome) {}

    // Which row the next errors are about; line 0: it has none.
    void begin_row(std::uint64_t row, std::uint64_t line = 0) {
        row_ = row;
        line_ = line;
    }
    void add(std::string field, std::string message) {
        if (outcome_.errors.size() < kMostRowErrors) {
            outcome_.errors.push_back({row_, line_, std::move(field), std::move(message)});
        } else {
            ++outcome_.more_errors;
        }
    }
    [[nodiscard]] bool none() const noexcept { return outcome_.errors.empty(); }

  private:
    ImportOutcome& outcome_;
    std::uint64_t row_ = 0;
    std::uint64_t line_ = 0;
};

}  // namespace apikey
