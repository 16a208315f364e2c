#include "sidecar/usage_writer.hpp"

#include <thread>

#include "core/decimal.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kDeadlock = "40P01";
constexpr std::string_view kSerialization = "40001";
// An index row that is too large, as a user id of thousands of bytes makes it.
constexpr std::string_view kProgramLimit = "54000";
// One INSERT … ON CONFLICT would change a row twice.
constexpr std::string_view kTwice = "21000";
constexpr milliseconds kShortestPause{5};
constexpr milliseconds kLongestPause{100};

// Acknowledged in Redis means safe in Postgres, so its own word that a commit is safe is asked for. The tables are this
// connection's; a pooler may hand us one that has them.
constexpr const char* kPrepare = R"(
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
SET work_mem = '32MB';
DROP TABLE IF EXISTS pg_temp.apikey_batch, pg_temp.apikey_row, pg_temp.apikey_key, pg_temp.apikey_price;
CREATE TEMPORARY TABLE apikey_batch (batch integer, zone uuid, slot bigint, sequence bigint) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE apikey_row (
    batch integer, twin boolean NOT NULL, user_id text COLLATE "C" NOT NULL, key_id uuid NOT NULL,
    minute timestamptz NOT NULL CHECK (isfinite(minute)), endpoint text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL, requests bigint NOT NULL CHECK (requests >= 0),
    tokens_in bigint NOT NULL CHECK (tokens_in >= 0), tokens_out bigint NOT NULL CHECK (tokens_out >= 0),
    tokens_cached bigint NOT NULL CHECK (tokens_cached >= 0), cost numeric CHECK (cost >= 0 AND cost < 1e30)
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE apikey_key (batch integer, key_id uuid NOT NULL, last_used timestamptz NOT NULL);
CREATE TEMPORARY TABLE apikey_price (model text COLLATE "C", input numeric, output numeric)
)";

// A source that two apply for the first time is made by one, and the other waits for it here.
constexpr const char* kMakeSources = R"(
INSERT INTO usage_sources (zone, slot) SELECT DISTINCT zone, slot FROM pg_temp.apikey_batch ORDER BY zone, slot
    ON CONFLICT DO NOTHING;
SELECT count(*) FROM (SELECT FROM usage_sources WHERE (zone, slot) IN (SELECT zone, slot FROM pg_temp.apikey_batch)
    ORDER BY zone, slot FOR NO KEY UPDATE) AS locked;
)";

// Statements of their own: each sees what was committed before it began, so what others had applied until we got the locks.
constexpr const char* kTakeSequences = R"(
DELETE FROM pg_temp.apikey_batch b USING usage_sources s
    WHERE s.zone = b.zone AND s.slot = b.slot AND s.applied @> b.sequence;
UPDATE usage_sources s SET applied = s.applied + n.sequences
    FROM (SELECT zone, slot, range_agg(int8range(sequence, sequence, '[]')) AS sequences FROM pg_temp.apikey_batch
          GROUP BY zone, slot) n
    WHERE s.zone = n.zone AND s.slot = n.slot;
)";

#define MOST "9223372036854775807"
#define SUM(column) "least(sum(" column "), " MOST ")::bigint"
#define GROWN(column)                                                                                \
    column " = CASE WHEN u." column " > " MOST " - excluded." column " THEN " MOST " ELSE u." column \
           " + excluded." column " END"

// Sums stay at 2^63 - 1. Cached tokens are a part of the input, and have its price. The batches are compared as ranges: a
// join would sort all rows once more, and an array would be walked through for each row. Rows without a twin are not summed,
// which would cost a seventh of all this. Where a twin was overlooked the statement would change a row twice, and Postgres
// refuses it (kTwice).
std::string merge_rows(std::chrono::seconds bucket, bool has_prices) {
    const std::string select = "SELECT user_id, date_bin('" + std::to_string(bucket.count()) +
                               " seconds', minute, 'epoch'::timestamptz) AS start, key_id, endpoint, r.model, status, ";
    const std::string cost = has_prices
                                 ? "coalesce(r.cost, trim_scale((r.tokens_in * p.input + r.tokens_out * p.output) * "
                                   "0.000000000001), 0)"
                                 : "coalesce(r.cost, 0)";
    const std::string from =
        std::string(" FROM pg_temp.apikey_row r") +
        (has_prices ? " LEFT JOIN pg_temp.apikey_price p ON p.model = r.model" : "") +
        " WHERE (SELECT range_agg(int4range(batch, batch, '[]')) FROM pg_temp.apikey_batch) @> r.batch AND ";
    return "INSERT INTO usage_records AS u (user_id, bucket, key_id, endpoint, model, status, requests, tokens_in, "
           "tokens_out, tokens_cached, cost) SELECT * FROM (" +
           select + "requests, tokens_in, tokens_out, tokens_cached, " + cost + from + "NOT twin UNION ALL " + select +
           SUM("requests") ", " SUM("tokens_in") ", " SUM("tokens_out") ", " SUM("tokens_cached") ", sum(" + cost +
           ")" + from +
           "twin GROUP BY user_id, start, key_id, endpoint, r.model, status) AS n "
           "ORDER BY user_id, start, key_id, endpoint, model, status "
           "ON CONFLICT (user_id, bucket, key_id, endpoint, model, status, source) DO UPDATE SET " GROWN(
               "requests") ", " GROWN("tokens_in") ", " GROWN("tokens_out") ", " GROWN("tokens_cached") ", "
                                                                                                        "cost = u.cost + "
                                                                                                        "excluded.cost;";
}

// The last results are read by attempt(). What is missing between two ranges is a hole; after the last one nothing is.
constexpr const char* kReport = R"(
SELECT s.zone, s.slot, upper(r) AS first, lead(lower(r)) OVER (PARTITION BY s.zone, s.slot ORDER BY r) - 1 AS last
    FROM usage_sources s CROSS JOIN unnest(s.applied) AS r
    WHERE (s.zone, s.slot) IN (SELECT zone, slot FROM pg_temp.apikey_batch) LIMIT 10000;
SELECT (SELECT count(*) FROM pg_temp.apikey_batch), (SELECT count(*) FROM pg_temp.apikey_key JOIN pg_temp.apikey_batch
    USING (batch) WHERE last_used > now() + interval '5 minutes');
COMMIT)";

std::uint64_t number(std::string_view text) {
    return parse_decimal(text).value_or(0);
}

std::string without_dashes(std::string_view uuid) {
    std::string digits(uuid);
    std::erase(digits, '-');
    return digits;
}

// What begins the transaction; the server reads the rows, and then the keys.
std::string begin_with(std::span<const UsageBatch> batches) {
    std::string sql =
        "BEGIN; TRUNCATE pg_temp.apikey_key; INSERT INTO pg_temp.apikey_batch (batch, zone, slot, sequence) VALUES ";
    for (std::size_t i = 0; i < batches.size(); ++i) {
        const usage::BatchId& id = batches[i].id;
        sql += (i == 0 ? "(" : ", (") + std::to_string(i) + ", '" + id.zone + "', " + std::to_string(id.slot) + ", " +
               std::to_string(id.sequence) + ")";
    }
    sql += std::string("; COPY pg_temp.apikey_row (batch, twin, ") + usage::kRowColumns +
           ") FROM STDIN; COPY pg_temp.apikey_key (batch, " + usage::kKeyColumns + ") FROM STDIN;";
    return sql;
}

}  // namespace

bool is_of_content(const std::string& sqlstate) {
    return sqlstate.starts_with("22") || sqlstate.starts_with("23") || sqlstate == kProgramLimit;
}

UsageWriter::UsageWriter(Postgres& postgres, const Settings& settings)
    : postgres_(postgres),
      from_there_on_(std::string(kMakeSources) + kTakeSequences +
                     merge_rows(settings.usage_bucket, !settings.usage_prices.empty()) + kReport),
      by_minute_(settings.usage_bucket == std::chrono::minutes(1)),
      random_(static_cast<std::minstd_rand::result_type>(new_receipt())) {
    postgres_.execute(kPrepare);
    postgres_.execute("SET idle_in_transaction_session_timeout = '" + std::to_string(kMostIdle.count()) + "s'");
    for (const auto& [model, price] : settings.usage_prices) {
        postgres_.query("INSERT INTO pg_temp.apikey_price VALUES ($1, $2::numeric, $3::numeric)",
                        {model, std::to_string(price.input), std::to_string(price.output)});
    }
}

UsageWriter::Report UsageWriter::apply(std::span<const UsageBatch> batches) {
    std::vector<UsageRow> rows = rows_in_order(batches, by_minute_);
    bool all_twins = false;
    for (int attempts = 1;; ++attempts) {
        try {
            return attempt(batches, rows);
        } catch (const PostgresError& error) {
            if (error.sqlstate().empty()) throw;
            postgres_.execute("ROLLBACK");
            if (error.sqlstate() == kTwice && !all_twins) {
                all_twins = true;
                for (UsageRow& row : rows)
                    row.twin = true;
                continue;
            }
            const bool met = error.sqlstate() == kDeadlock || error.sqlstate() == kSerialization;
            if (!met || attempts == kMostAttempts) throw;
        }
        std::uniform_int_distribution<std::int64_t> pause(kShortestPause.count(), kLongestPause.count());
        std::this_thread::sleep_for(milliseconds(pause(random_)));
    }
}

UsageWriter::Report UsageWriter::attempt(std::span<const UsageBatch> batches, std::span<const UsageRow> rows) {
    RowLines row_lines(rows);
    NumberedLines keys;
    for (std::size_t i = 0; i < batches.size(); ++i)
        keys.add(i, batches[i].keys);
    const auto results =
        postgres_.execute_with(begin_with(batches) + from_there_on_,
                               {[&row_lines] { return row_lines.next(); }, [&keys] { return keys.next(); }});
    constexpr std::size_t kResults = 13;  // one a statement
    if (results.size() != kResults) throw PostgresError("Postgres answered less than it was asked");
    const PgResult& counts = results[kResults - 2];
    const PgResult& holes = results[kResults - 3];
    Report report;
    report.batches = number(cell(counts, 0, 0));
    report.clamped = number(cell(counts, 0, 1));
    report.rows = number(PQcmdTuples(results[kResults - 4].get()));
    for (int i = 0; i < apikey::rows(holes); ++i) {
        const UsageSlotId slot{without_dashes(cell(holes, i, 0)), number(cell(holes, i, 1))};
        auto& of_slot = report.holes[slot];
        if (!is_null(holes, i, 3)) of_slot.push_back({slot, number(cell(holes, i, 2)), number(cell(holes, i, 3))});
    }
    return report;
}

}  // namespace apikey
