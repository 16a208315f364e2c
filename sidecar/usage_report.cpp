#include "sidecar/usage_report.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace apikey {
namespace {

constexpr const char* kSums =
    "sum(requests) AS requests, sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, "
    "sum(tokens_cached) AS tokens_cached, sum(cost) AS cost, sum(errors) AS errors";

constexpr const char* kMoreSums =
    "sum(tokens_cached) AS tokens_cached, coalesce(sum(requests) FILTER (WHERE status = 'error'), 0) AS errors";
constexpr const char* kNoMoreSums = "0::numeric AS tokens_cached, 0::numeric AS errors";

// Rows by what they are grouped by. Of times first by day, which costs a fourth of what to_char() does for each row.
std::string groups_of(UsageGrouping by, UsageFigures figures) {
    const bool of_time = is_of_time(by);
    const char* group = by == UsageGrouping::user       ? "user_id"
                        : by == UsageGrouping::key      ? "key_id"
                        : by == UsageGrouping::endpoint ? "endpoint"
                        : by == UsageGrouping::model    ? "model"
                                                        : "bucket::date";
    const char* owner = by == UsageGrouping::key ? "user_id" : "NULL::text";
    const std::string rows = fmt::format(
        "SELECT {} AS name, {} AS owner, sum(requests) AS requests, sum(tokens_in) AS tokens_in, "
        "sum(tokens_out) AS tokens_out, sum(cost) AS cost, {} FROM usage_records WHERE {{}} GROUP BY {}",
        group, owner, figures == UsageFigures::all ? kMoreSums : kNoMoreSums, by == UsageGrouping::key ? "1, 2" : "1");
    if (!of_time) return rows;
    return fmt::format(
        "SELECT to_char(name::timestamp, '{}') AS name, NULL::text AS owner, {} FROM ({}) AS days GROUP BY 1",
        by == UsageGrouping::day ? "YYYY-MM-DD" : "YYYY-MM", kSums, rows);
}

// {0}: the groups; {1}: a key's name; {2}: the order; {3}: the limit. The row of the total comes first, and is there when no row
// fits; it is the sum of the groups, each of which is read once.
constexpr const char* kReport =
    "WITH sums AS MATERIALIZED ({0}) "
    "SELECT NULL, NULL, NULL, coalesce(sum(requests), 0), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), "
    "coalesce(sum(tokens_cached), 0), trim_scale(coalesce(sum(cost), 0)), coalesce(sum(errors), 0), count(*) FROM sums "
    "UNION ALL (SELECT name::text, owner, {1}, requests, tokens_in, tokens_out, tokens_cached, trim_scale(cost), "
    "errors, "
    "NULL FROM sums ORDER BY {2}{3})";

// A key that is gone has none; an application's table may hold an id twice. {}: for whom it may be told.
constexpr const char* kKeyName = "(SELECT k.name FROM api_keys k WHERE k.id = sums.name{} LIMIT 1)";

// The conditions that are there, and their values as $1, $2, …
struct Statement {
    std::string conditions = "true";
    std::vector<Postgres::Parameter> values;

    void add(const char* condition, const std::optional<std::string>& value) {
        if (!value) return;
        values.emplace_back(*value);
        conditions += fmt::format(fmt::runtime(condition), values.size());
    }
    void add(const char* condition, const std::optional<Instant>& value) {
        if (value) add(condition, std::optional(format_iso_time(*value)));
    }
};

UsageSums sums_of(const PgResult& result, int row) {
    const auto text = [&](int column) { return std::string(cell(result, row, column)); };
    return {text(3), text(4), text(5), text(6), text(7), text(8)};
}

UsageGroup group_of(const PgResult& result, int row) {
    UsageGroup group;
    group.name = cell(result, row, 0);
    group.user = cell(result, row, 1);
    if (!is_null(result, row, 2)) group.key_name = cell(result, row, 2);
    group.sums = sums_of(result, row);
    return group;
}

}  // namespace

UsageReport report_usage(Postgres& postgres, UsageGrouping by, const UsageFilter& filter,
                         std::optional<std::uint64_t> limit, UsageFigures figures) {
    Statement statement;
    statement.add(" AND bucket >= ${}::timestamptz", filter.range.from);
    statement.add(" AND bucket < ${}::timestamptz", filter.range.until);
    statement.add(" AND user_id = ${}", filter.user);
    statement.add(" AND key_id = ${}::uuid", filter.key);
    statement.add(" AND endpoint = ${}", filter.endpoint);
    statement.add(" AND model = ${}", filter.model);
    statement.add(" AND status = ${}", filter.status);
    const std::string groups = fmt::format(fmt::runtime(groups_of(by, figures)), statement.conditions);
    const char* order = is_of_time(by) ? "name DESC" : "requests DESC, sums.name, owner";
    const std::string key_name = fmt::format(kKeyName, filter.user ? " AND k.user_id = sums.owner" : "");
    const std::string sql = fmt::format(kReport, groups, by == UsageGrouping::key ? key_name : "NULL", order,
                                        limit ? " LIMIT " + std::to_string(*limit) : "");
    const PgResult result = postgres.query(sql.c_str(), statement.values);
    UsageReport report;
    report.total = sums_of(result, 0);
    report.group_count = cell(result, 0, 9);
    for (int row = 1; row < rows(result); ++row)
        report.groups.push_back(group_of(result, row));
    if (is_of_time(by)) std::reverse(report.groups.begin(), report.groups.end());
    return report;
}

}  // namespace apikey
