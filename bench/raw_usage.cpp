// The peer of apikeyd where it applies usage: libpq and nothing else. No stream, no promises: what is sent twice is counted
// twice, and what is refused ends it.
//
//     bench_raw_usage DSN rows FILE    sorted COPY → temporary table → INSERT … ON CONFLICT on usage_records
//     bench_raw_usage DSN keys FILE    UPDATE api_keys … FROM unnest
//
// FILE holds lines as they are in batches (core/usage/batch_text.hpp), an empty line after those of each transaction.
// Prints `result LINES MICROSECONDS`: from the first COMMIT to the last one, and the lines between them.
#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/usage/batch_text.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using Lines = std::vector<std::string>;  // of one transaction

constexpr const char* kTable = R"(
CREATE TEMPORARY TABLE raw_row (user_id text COLLATE "C", key_id uuid, minute timestamptz, endpoint text COLLATE "C",
    model text COLLATE "C", status text COLLATE "C", requests bigint, tokens_in bigint, tokens_out bigint,
    tokens_cached bigint, cost numeric) ON COMMIT DELETE ROWS)";

constexpr const char* kMerge = R"(
INSERT INTO usage_records AS u (user_id, bucket, key_id, endpoint, model, status, requests, tokens_in, tokens_out,
    tokens_cached, cost)
    SELECT user_id, minute, key_id, endpoint, model, status, requests, tokens_in, tokens_out, tokens_cached,
    coalesce(cost, 0) FROM raw_row
    ON CONFLICT (user_id, bucket, key_id, endpoint, model, status, source) DO UPDATE SET
    requests = u.requests + excluded.requests, tokens_in = u.tokens_in + excluded.tokens_in,
    tokens_out = u.tokens_out + excluded.tokens_out, tokens_cached = u.tokens_cached + excluded.tokens_cached,
    cost = u.cost + excluded.cost)";

constexpr const char* kMove = R"(
UPDATE api_keys k SET last_used_at = n.last_used
    FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, last_used) WHERE k.id = n.id)";

[[noreturn]] void fail(const char* what, PGconn* connection) {
    std::fprintf(stderr, "%s: %s\n", what, connection == nullptr ? "" : PQerrorMessage(connection));
    std::exit(1);
}

void expect(PGconn* connection, PGresult* result, ExecStatusType status) {
    if (PQresultStatus(result) != status) fail("refused", connection);
    PQclear(result);
}

void execute(PGconn* connection, const char* sql) {
    expect(connection, PQexec(connection, sql), PGRES_COMMAND_OK);
}

void merge_rows(PGconn* connection, Lines& lines) {
    static const std::string copy = std::string("COPY raw_row (") + apikey::usage::kRowColumns + ") FROM STDIN";
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const std::string& line : lines)
        text += line + '\n';
    execute(connection, "BEGIN");
    expect(connection, PQexec(connection, copy.c_str()), PGRES_COPY_IN);
    if (PQputCopyData(connection, text.data(), static_cast<int>(text.size())) != 1) fail("COPY", connection);
    if (PQputCopyEnd(connection, nullptr) != 1) fail("COPY", connection);
    while (PGresult* result = PQgetResult(connection))
        expect(connection, result, PGRES_COMMAND_OK);
    execute(connection, kMerge);
    execute(connection, "COMMIT");
}

void move_last_used(PGconn* connection, Lines& lines) {
    std::sort(lines.begin(), lines.end());
    std::string ids = "{";
    std::string times = "{";
    for (const std::string& line : lines) {
        const std::size_t tab = line.find('\t');
        ids += (ids.size() == 1 ? "" : ",") + line.substr(0, tab);
        times += (times.size() == 1 ? "" : ",") + line.substr(tab + 1);
    }
    const std::string ends = "}";
    ids += ends;
    times += ends;
    const char* const values[] = {ids.c_str(), times.c_str()};
    expect(connection, PQexecParams(connection, kMove, 2, nullptr, values, nullptr, nullptr, 0), PGRES_COMMAND_OK);
}

std::vector<Lines> read_transactions(const char* path) {
    std::vector<Lines> all(1);
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (line.empty()) {
            all.emplace_back();
        } else {
            all.back().push_back(line);
        }
    }
    all.pop_back();
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) fail("bench_raw_usage DSN rows|keys FILE", nullptr);
    std::vector<Lines> transactions = read_transactions(argv[3]);
    PGconn* const connection = PQconnectdb(argv[1]);
    if (PQstatus(connection) != CONNECTION_OK) fail("no connection", connection);
    execute(connection, kTable);
    const auto apply = std::string_view(argv[2]) == "rows" ? merge_rows : move_last_used;
    std::size_t lines = 0;
    Clock::time_point began;
    for (Lines& transaction : transactions) {
        apply(connection, transaction);
        if (began == Clock::time_point()) {
            began = Clock::now();
        } else {
            lines += transaction.size();
        }
    }
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
    std::printf("result %zu %lld\n", lines, static_cast<long long>(took.count()));
    PQfinish(connection);
}
