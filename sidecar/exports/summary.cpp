// The sums of usage, as a JSON document.
#include "core/json_string.hpp"
#include "sidecar/exports/export.hpp"
#include "sidecar/exports/export_session.hpp"
#include "sidecar/usage_report.hpp"
#include "sidecar/user_transaction.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

constexpr std::string_view kInvalidParameterValue = "22023";

void append_sums(std::string& out, const UsageSums& sums) {
    out += R"("requests":)" + sums.requests + R"(,"tokensIn":)" + sums.tokens_in + R"(,"tokensOut":)" +
           sums.tokens_out + R"(,"cost":)" + sums.cost + "}";
}

void append_group(std::string& out, const UsageGroup& group, UsageGrouping by) {
    out += R"({"group":)";
    append_json_string(out, group.name);
    if (by == UsageGrouping::key) {
        out += R"(,"name":)";
        if (group.key_name) {
            append_json_string(out, *group.key_name);
        } else {
            out += "null";
        }
    }
    out += ',';
    append_sums(out, group.sums);
}

std::string to_json(const UsageReport& report, UsageGrouping by) {
    std::string out = R"({"success":true,"groupBy":")" + std::string(name_of(by)) + R"(","data":[)";
    for (const UsageGroup& group : report.groups) {
        if (&group != &report.groups.front()) out += ',';
        append_group(out, group, by);
    }
    out += R"(],"total":{)";
    append_sums(out, report.total);
    return out + "}\n";
}

UsageFilter filter_of(const UsageSelection& which, const std::string& user) {
    UsageFilter filter;
    filter.range = which.range;
    filter.user = user;
    filter.key = which.key_id;
    filter.endpoint = which.endpoint;
    filter.model = which.model;
    filter.status = which.status;
    return filter;
}

// False: there is no such zone.
bool set_time_zone(Postgres& postgres, const std::string& zone) {
    try {
        postgres.query("SELECT set_config('TimeZone', $1, true)", {zone});
        return true;
    } catch (const PostgresError& error) {
        if (error.sqlstate() != kInvalidParameterValue) throw;
        return false;
    }
}

}  // namespace

Result<std::string> summarize_usage(Postgres& postgres, const std::string& user, const UsageSummaryQuery& query) {
    UserSnapshot snapshot(postgres, user, kLongestLook, Reading::sums);
    if (!set_time_zone(postgres, query.time_zone))
        return Error{"timeZone \"" + query.time_zone +
                     "\" is no time zone that Postgres knows; write one like Europe/Paris, or UTC"};
    const UsageReport report =
        report_usage(postgres, query.by, filter_of(query.which, user), std::nullopt, UsageFigures::of_summary);
    snapshot.end();
    return to_json(report, query.by);
}

}  // namespace apikey
