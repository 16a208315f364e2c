// What nginx hands over: an entry of the stream apikey:usage, looked at before Postgres sees it.
//
// Many batches go to Postgres in one COPY. So what is checked here is what would let one of them change the meaning of its
// neighbours: where lines and columns end. Whether a value is good is for Postgres to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "core/usage/batch_text.hpp"

namespace apikey {

// As it came from Redis.
struct UsageEntry {
    std::string id;  // of the stream
    std::vector<std::pair<std::string, std::string>> fields;

    [[nodiscard]] std::size_t bytes() const noexcept;
};

// A look at an entry, which must stay where it is.
struct UsageBatch {
    const UsageEntry* entry = nullptr;
    usage::BatchId id;
    std::int64_t sealed = 0;  // unix milliseconds, nginx's clock
    std::string_view keys;    // lines, see batch_text.hpp
    std::string_view rows;
    std::size_t key_count = 0;
    std::size_t row_count = 0;
};

// Error: why it is no batch, in words without its content.
Result<UsageBatch> batch_of(const UsageEntry& entry);

// Lines of `text`, each with `columns` columns, so that COPY reads exactly these. Error: what is wrong with them.
Result<std::size_t> count_lines(std::string_view text, std::size_t columns);

// A line of a batch's rows.
struct UsageRow {
    std::string_view line;
    std::size_t batch = 0;  // which of the batches
    bool twin = false;      // another one may count in the same row of usage_records
};

// All rows, in the order of their bytes, which is nearly that of keys: so Postgres has little to sort. Rows are twins when they
// say the same up to the status; without `by_minute`, as in a bucket of many minutes, when they are of the same key. So some are
// called twins that are none, and some overlooked that are spelled in two ways, as nginx never does.
std::vector<UsageRow> rows_in_order(std::span<const UsageBatch> batches, bool by_minute);

// The rows, each with the batch's number and `t` or `f` for twin before it, in pieces as NumberedLines has them.
class RowLines {
  public:
    explicit RowLines(std::span<const UsageRow> rows) : rows_(rows) {}
    // The next piece, valid until the next call; empty: the end.
    std::string_view next();

  private:
    std::span<const UsageRow> rows_;  // what is left
    std::string piece_;
};

// The lines of many texts, each with a number and a TAB before it, in pieces of about kPieceBytes.
class NumberedLines {
  public:
    static constexpr std::size_t kPieceBytes = std::size_t{128} * 1024;

    void add(std::size_t number, std::string_view lines) { texts_.emplace_back(number, lines); }
    // The next piece, valid until the next call; empty: the end.
    std::string_view next();

  private:
    std::vector<std::pair<std::size_t, std::string_view>> texts_;  // what is left of each
    std::size_t at_ = 0;
    std::string piece_;
};

}  // namespace apikey
