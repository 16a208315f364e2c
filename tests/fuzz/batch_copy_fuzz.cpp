// Usage on its way to COPY, with a Postgres (FUZZ_POSTGRES is its connection string; tests/fuzz/run starts one): what nginx writes
// is taken, and what is accepted means there what it means to copy_reader.hpp, or is refused for its content, so that a batch is
// buried and not tried for ever. Nothing of it touches its neighbours. The tables are the ones that apikeyd copies into.
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "sidecar/usage_batch.hpp"
#include "sidecar/usage_writer.hpp"
#include "sidecar/weather.hpp"
#include "tests/fuzz/usage_lines.hpp"

namespace apikey::test {
namespace {

const std::string kNeighbour =
    "neighbour\t" + std::string(kKeyId) + "\t2026-11-28T02:05:00Z\t/\\\\\tm\tsuccess\t1\t2\t3\t4\t0.5\n";
const std::string kNeighbourKey = std::string(kKeyId) + "\t2026-11-28T02:05:07.123Z\n";

// Numbers and times as our writer writes them; texts as bytes. What is rolled back still takes room, until it is truncated.
constexpr int kTruncateEvery = 1'000;
const std::string kCopy = std::string("BEGIN; COPY pg_temp.apikey_row (batch, twin, ") + usage::kRowColumns +
                          ") FROM STDIN; COPY pg_temp.apikey_key (batch, " + usage::kKeyColumns + R"() FROM STDIN;
SELECT batch, user_id, key_id, to_char(minute, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), endpoint, model, status, requests, tokens_in, tokens_out,
    tokens_cached, cost FROM pg_temp.apikey_row;
SELECT batch, key_id, to_char(last_used, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM pg_temp.apikey_key ORDER BY ctid; ROLLBACK)";

Postgres& postgres() {
    static Postgres* const connection = [] {
        const char* const dsn = std::getenv("FUZZ_POSTGRES");
        if (dsn == nullptr) {
            std::cerr << "FUZZ_POSTGRES must name a Postgres; tests/fuzz/run starts one\n";
            std::exit(1);
        }
        auto* const made = new Postgres(dsn, {});
        const UsageWriter makes_the_tables(*made, Settings{});
        return made;
    }();
    return *connection;
}

std::vector<CopyFields> fields_of(const PgResult& result) {
    std::vector<CopyFields> lines;
    for (int row = 0; row < rows(result); ++row) {
        CopyFields& line = lines.emplace_back();
        for (int column = 0; column < PQnfields(result.get()); ++column) {
            if (is_null(result, row, column))
                line.emplace_back();
            else
                line.emplace_back(cell(result, row, column));
        }
    }
    std::sort(lines.begin(), lines.end());  // they are copied in an order of their own
    return lines;
}

struct Copied {
    std::vector<CopyFields> rows, keys;  // each with the number of its batch
    std::string refusal;                 // SQLSTATE
};

Copied copy(std::string_view row_lines, std::string_view key_lines) {
    std::vector<UsageBatch> batches(2);
    batches[0].rows = row_lines;
    batches[1].rows = kNeighbour;
    const std::vector<UsageRow> in_order = rows_in_order(batches, true);
    RowLines numbered_rows(in_order);
    NumberedLines numbered_keys;
    numbered_keys.add(0, key_lines);
    numbered_keys.add(1, kNeighbourKey);
    static int copies = 0;
    if (++copies % kTruncateEvery == 0) postgres().execute("TRUNCATE pg_temp.apikey_row, pg_temp.apikey_key");
    try {
        const auto results = postgres().execute_with(
            kCopy, {[&] { return numbered_rows.next(); }, [&] { return numbered_keys.next(); }});
        EXPECT_EQ(results.size(), 6U);
        return {fields_of(results[3]), fields_of(results[4]), ""};
    } catch (const PostgresError& error) {
        EXPECT_TRUE(is_of_content(error.sqlstate())) << error.what();
        postgres().execute("ROLLBACK");
        return {{}, {}, error.sqlstate()};
    }
}

std::vector<CopyFields> with_neighbour(std::vector<CopyFields> ours, const std::string& neighbour) {
    for (CopyFields& line : ours)
        line.insert(line.begin(), "0");
    CopyFields other = read_copy_lines(neighbour)->front();
    other.insert(other.begin(), "1");
    ours.push_back(other);
    std::sort(ours.begin(), ours.end());
    return ours;
}

// What columns of other types than text are in another notation than ours is not compared.
std::vector<CopyFields> texts_only(std::vector<CopyFields> lines) {
    for (CopyFields& line : lines)
        if (line.front() == "0" && line.size() == kRowFields + 1) line = {line[0], line[1], line[4], line[5], line[6]};
    std::sort(lines.begin(), lines.end());
    return lines;
}

void check_any(const std::string& text) {
    const auto count = count_lines(text, kRowFields);
    if (!count) return;
    const Copied copied = copy(text, "");
    if (!copied.refusal.empty()) return;
    const auto read = read_copy_lines(text);
    ASSERT_TRUE(read && read->size() == *count);
    EXPECT_EQ(texts_only(copied.rows), texts_only(with_neighbour(*read, kNeighbour)));
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    if (data.ConsumeBool()) {
        check_any(data.ConsumeRemainingBytesAsString());
        return 0;
    }
    const UsageLines lines = draw_lines(data);
    const Copied copied = copy(lines.rows, lines.keys);
    EXPECT_EQ(copied.refusal, "") << "what nginx writes is refused";
    EXPECT_EQ(copied.rows, with_neighbour(lines.row_fields, kNeighbour));
    EXPECT_EQ(copied.keys, with_neighbour(lines.key_fields, kNeighbourKey));
    return 0;
}
