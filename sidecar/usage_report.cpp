#include "sidecar/usage_report.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace apikey {
namespace {

const char* expression_of(UsageGrouping by) {
    switch (by) {
        case UsageGrouping::user: return "user_id";
        case UsageGrouping::key: return "key_id::text";
        case UsageGrouping::endpoint: return "endpoint";
        case UsageGrouping::model: return "model";
        case UsageGrouping::day: return "to_char(bucket AT TIME ZONE 'UTC', 'YYYY-MM-DD')";
        case UsageGrouping::month: return "to_char(bucket AT TIME ZONE 'UTC', 'YYYY-MM')";
    }
    return "user_id";
}

// {0}: what it is grouped by; {1}: whose it is, where that belongs to the group; {2}: a key's name; {3}: the order. The row of
// the total comes first, and is there when no row fits.
constexpr const char* kReport =
    "SELECT is_total, sums.name, owner, {2}, requests, tokens_in, tokens_out, tokens_cached, cost, errors, "
    "count(*) OVER () - 1 FROM ("
    "SELECT grouping({0}) = 1 AS is_total, {0} AS name, {1} AS owner, coalesce(sum(requests), 0) AS requests, "
    "coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out, "
    "coalesce(sum(tokens_cached), 0) AS tokens_cached, trim_scale(coalesce(sum(cost), 0)) AS cost, "
    "coalesce(sum(requests) FILTER (WHERE status = 'error'), 0) AS errors FROM usage_records "
    "WHERE bucket >= $1::timestamptz AND bucket < $2::timestamptz AND ($3::text IS NULL OR user_id = $3) "
    "AND ($4::uuid IS NULL OR key_id = $4) AND ($5::text IS NULL OR endpoint = $5) "
    "AND ($6::text IS NULL OR model = $6) AND ($7::text IS NULL OR status = $7) "
    "GROUP BY GROUPING SETS (({0}, {1}), ())) AS sums ORDER BY is_total DESC, {3} LIMIT $8::bigint + 1";

// A key that is gone has none; an application's table may hold an id twice.
constexpr const char* kKeyName = "(SELECT k.name FROM api_keys k WHERE k.id = sums.name::uuid LIMIT 1)";

std::string statement_of(UsageGrouping by) {
    const bool of_key = by == UsageGrouping::key;
    // Without an owner the same expression twice, which groups no finer.
    const char* owner = of_key ? "user_id" : expression_of(by);
    const char* order = is_of_time(by) ? "sums.name DESC" : "requests DESC, sums.name, owner";
    return fmt::format(kReport, expression_of(by), owner, of_key ? kKeyName : "NULL", order);
}

UsageSums sums_of(const PgResult& result, int row) {
    const auto text = [&](int column) { return std::string(cell(result, row, column)); };
    return {text(4), text(5), text(6), text(7), text(8), text(9)};
}

UsageGroup group_of(const PgResult& result, int row, UsageGrouping by) {
    UsageGroup group;
    group.name = cell(result, row, 1);
    if (by == UsageGrouping::key) group.user = cell(result, row, 2);
    if (!is_null(result, row, 3)) group.key_name = cell(result, row, 3);
    group.sums = sums_of(result, row);
    return group;
}

}  // namespace

UsageReport report_usage(Postgres& postgres, UsageGrouping by, const UsageFilter& filter,
                         std::optional<std::uint64_t> limit) {
    Postgres::Parameter most;
    if (limit) most = std::to_string(*limit);
    const PgResult result = postgres.query(
        statement_of(by).c_str(), {format_iso_time(filter.range.from), format_iso_time(filter.range.until), filter.user,
                                   filter.key, filter.endpoint, filter.model, filter.status, most});
    UsageReport report;
    report.total = sums_of(result, 0);
    report.group_count = cell(result, 0, 10);
    for (int row = 1; row < rows(result); ++row)
        report.groups.push_back(group_of(result, row, by));
    if (is_of_time(by)) std::reverse(report.groups.begin(), report.groups.end());
    return report;
}

}  // namespace apikey
