// apikeyctl usage: what keys were used for, in sums.
#include <chrono>
#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/json_text.hpp"
#include "sidecar/ctl/output.hpp"
#include "sidecar/keys/key_input.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/usage_report.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

constexpr std::chrono::days kDefaultRange{30};
// Sums over a large table take longer than anything that apikeyd asks.
constexpr std::chrono::seconds kStatementTimeout{60};
constexpr std::string_view kQueryCanceled = "57014";

TimeRange range_of(const UsageArguments& usage) {
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    return or_refuse(parse_time_range(usage.from, usage.to, now, kDefaultRange), kWrongUse);
}

UsageFilter filter_of(const UsageArguments& usage, const std::string& user, const TimeRange& range) {
    UsageFilter filter;
    filter.range = {range.from, range.until};
    require_key_id(usage.key);
    if (!user.empty()) filter.user = user;
    filter.key = usage.key;
    filter.endpoint = usage.endpoint;
    filter.model = usage.model;
    filter.status = usage.status;
    return filter;
}

UsageReport ask(const Settings& settings, UsageGrouping by, const UsageFilter& filter,
                std::optional<std::uint64_t> limit) {
    Postgres::Options options;
    options.application = "apikeyctl usage";
    options.statement_timeout = kStatementTimeout;
    options.answer_timeout = kStatementTimeout + std::chrono::seconds(2);
    Postgres postgres(settings.postgres, options);
    require_schema(postgres);
    try {
        return report_usage(postgres, by, filter, limit);
    } catch (const PostgresError& error) {
        if (error.sqlstate() != kQueryCanceled) throw;
        throw Refusal{"Postgres has not summed it up within 60 s; ask for a shorter time (--from, --to)", kFailed};
    }
}

void add_sums(JsonText& json, const UsageSums& sums) {
    json.field("requests").number(sums.requests);
    json.field("errors").number(sums.errors);
    json.field("tokensIn").number(sums.tokens_in);
    json.field("tokensOut").number(sums.tokens_out);
    json.field("tokensCached").number(sums.tokens_cached);
    json.field("cost").number(sums.cost);
}

void print_as_json(const UsageReport& report, const UsageArguments& usage, const TimeRange& range) {
    JsonText json;
    json.open('{').field("success").word("true").field("groupBy").text(usage.by);
    json.field("from").text(format_iso_time(range.from)).field("until").text(format_iso_time(range.until));
    json.field("data").open('[');
    for (const UsageGroup& group : report.groups) {
        json.open('{').field("group").text(group.name);
        if (usage.by == "key") {
            json.field("user").text(group.user).field("name");
            group.key_name ? json.text(*group.key_name) : json.word("null");
        }
        add_sums(json, group.sums);
        json.close('}');
    }
    json.close(']').field("groups").number(report.group_count);
    json.field("total").open('{');
    add_sums(json, report.total);
    std::cout << json.close('}').close('}').str() << "\n";
}

void append(TextLine& line, const UsageSums& sums) {
    line.insert(line.end(),
                {sums.requests, sums.tokens_in, sums.tokens_out, sums.tokens_cached, sums.cost, sums.errors});
}

std::string upper_case(std::string text) {
    for (char& c : text)
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return text;
}

std::vector<TextLine> lines_of(const UsageReport& report, const UsageArguments& usage) {
    const bool of_key = usage.by == "key";
    std::vector<TextLine> lines = {{upper_case(usage.by)}};
    if (of_key) lines.back().insert(lines.back().end(), {"USER", "NAME"});
    lines.back().insert(lines.back().end(), {"REQUESTS", "TOKENS IN", "TOKENS OUT", "CACHED", "COST", "ERRORS"});
    for (const UsageGroup& group : report.groups) {
        TextLine& line = lines.emplace_back(TextLine{group.name.empty() ? "(none)" : printable(group.name)});
        if (of_key) line.insert(line.end(), {printable(group.user), printable(group.key_name.value_or("-"))});
        append(line, group.sums);
    }
    TextLine& total = lines.emplace_back(TextLine{"total"});
    if (of_key) total.resize(3);
    append(total, report.total);
    return lines;
}

}  // namespace

void run_usage_totals(const Arguments& arguments) {
    const UsageArguments& usage = arguments.usage;
    const UsageGrouping by = usage_grouping_of(usage.by).value_or(UsageGrouping::user);
    const TimeRange range = range_of(usage);
    const UsageFilter filter = filter_of(usage, arguments.user, range);
    const UsageReport report = ask(settings_of(arguments), by, filter, usage.limit);
    if (arguments.json) return print_as_json(report, usage, range);
    std::cout << "usage by " << usage.by << ", " << describe(range) << "\n";
    print_lines(lines_of(report, usage), usage.by == "key" ? 3 : 1);
    if (report.group_count != std::to_string(report.groups.size())) {
        std::cout << report.groups.size() << " of " << report.group_count << " shown (--limit); the total is of all\n";
    }
}

}  // namespace apikey
