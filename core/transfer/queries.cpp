#include "core/transfer/queries.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/decimal.hpp"
#include "core/uuid.hpp"

namespace apikey {
namespace {

using std::chrono::days;

constexpr std::array<std::pair<std::string_view, UsageGrouping>, 6> kGroupings = {{
    {"user", UsageGrouping::user},
    {"key", UsageGrouping::key},
    {"endpoint", UsageGrouping::endpoint},
    {"model", UsageGrouping::model},
    {"day", UsageGrouping::day},
    {"month", UsageGrouping::month},
}};

Error wrong(const QueryParameter& parameter, std::string_view why) {
    return Error{parameter.name + " " + quoted_for_message(parameter.value) + " " + std::string(why)};
}

// Takes one parameter after the other and remembers the first that was wrong.
class Reader {
  public:
    explicit Reader(const QueryParameters& parameters) : left_(parameters) {}

    // The parameter of this name, which is then known; null when there is none.
    std::optional<QueryParameter> take(std::string_view name) {
        const auto found =
            std::find_if(left_.begin(), left_.end(), [&](const auto& each) { return each.name == name; });
        if (found == left_.end()) return std::nullopt;
        QueryParameter parameter = std::move(*found);
        left_.erase(found);
        return parameter;
    }

    void refuse(Error error) {
        if (!error_) error_ = std::move(error);
    }

    // `query`, unless something was wrong or is left over.
    template <class Query>
    Result<Query> finish(Query query, std::string_view known) {
        if (!left_.empty()) {
            refuse(Error{"the parameter " + quoted_for_message(left_.front().name) + " is unknown here; there are " +
                         std::string(known)});
        }
        if (error_) return *error_;
        return query;
    }

  private:
    QueryParameters left_;
    std::optional<Error> error_;
};

void read_format(Reader& reader, TransferFormat& format) {
    const auto parameter = reader.take("format");
    if (!parameter) return;
    if (parameter->value == "json") {
        format = TransferFormat::json;
    } else if (parameter->value == "csv") {
        format = TransferFormat::csv;
    } else {
        reader.refuse(wrong(*parameter, "is no format; there are csv and json"));
    }
}

std::optional<IsoTime> read_time(Reader& reader, std::string_view name) {
    const auto parameter = reader.take(name);
    if (!parameter) return std::nullopt;
    const auto time = parse_iso_time(parameter->value);
    if (!time) {
        const bool plus = parameter->value.find(' ') != std::string::npos;
        reader.refuse(
            wrong(*parameter, plus ? "is no date and no time with its zone; in a URL a + is written %2B"
                                   : "is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z)"));
    }
    return time;
}

OpenRange read_range(Reader& reader) {
    const auto start = read_time(reader, "startDate");
    const auto end = read_time(reader, "endDate");
    const auto range = open_range(start, end);
    if (!range) reader.refuse(Error{"endDate is before startDate"});
    return range.value_or(OpenRange{});
}

std::optional<std::string> read_text(Reader& reader, std::string_view name) {
    auto parameter = reader.take(name);
    if (!parameter) return std::nullopt;
    return std::move(parameter->value);
}

UsageSelection read_selection(Reader& reader) {
    UsageSelection which;
    which.range = read_range(reader);
    which.endpoint = read_text(reader, "endpoint");
    which.model = read_text(reader, "model");
    if (const auto status = reader.take("status")) {
        if (status->value != "success" && status->value != "error")
            reader.refuse(wrong(*status, "is no status; there are success and error"));
        which.status = status->value;
    }
    if (const auto key = reader.take("keyId")) {
        if (!is_uuid(key->value)) reader.refuse(wrong(*key, "is no key's id, which is a UUID"));
        which.key_id = key->value;
    }
    return which;
}

void read_page(Reader& reader, PageQuery& page) {
    if (const auto limit = reader.take("limit")) {
        const auto number = parse_decimal(limit->value);
        if (!number || *number == 0 || *number > PageQuery::kMost)
            reader.refuse(wrong(*limit, "is no number from 1 to " + std::to_string(PageQuery::kMost)));
        page.limit = number.value_or(page.limit);
    }
    page.after = read_text(reader, "after");
    if (page.after == "") page.after.reset();
}

// Of a list whose places are all like this.
Result<PageQuery> page_query(const QueryParameters& parameters, bool (*is_place)(std::string_view)) {
    Reader reader(parameters);
    PageQuery page;
    read_page(reader, page);
    if (page.after && !is_place(*page.after))
        reader.refuse(
            wrong({"after", *page.after}, "is no place in this list; write what the page before gave as next"));
    return reader.finish(std::move(page), "limit and after");
}

// A name of the tz database: Europe/Paris, Etc/GMT+1. Postgres would take abbreviations and POSIX rules as well, which mean other
// things than people think: only UTC is let through of what has no "/".
bool may_be_time_zone(std::string_view name) {
    if (name == "UTC") return true;
    if (name.size() > 64 || name.find('/') == std::string_view::npos || name.front() == '/' || name.front() < 'A' ||
        name.front() > 'Z')
        return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '/' ||
               c == '+' || c == '-';
    });
}

std::string for_a_name(Instant at) {
    std::string text = format_iso_time(at);
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
}

std::string name_of_range(const OpenRange& range, Instant now) {
    std::string name = "all";
    if (range.from) name = is_midnight(*range.from) ? format_iso_date(*range.from) : for_a_name(*range.from);
    name += '-';
    if (!range.until) return name + format_iso_date(now);
    // The last day of a range that ends with a whole one, unless it is empty.
    const bool whole_days = is_midnight(*range.until) && range.from != range.until;
    return name + (whole_days ? format_iso_date(*range.until - days(1)) : for_a_name(*range.until));
}

}  // namespace

std::optional<UsageGrouping> usage_grouping_of(std::string_view name) noexcept {
    for (const auto& [known, grouping] : kGroupings)
        if (known == name) return grouping;
    return std::nullopt;
}

std::string_view name_of(UsageGrouping by) noexcept {
    for (const auto& [name, grouping] : kGroupings)
        if (grouping == by) return name;
    return {};
}

Result<UsageExportQuery> usage_export_query(const QueryParameters& parameters) {
    Reader reader(parameters);
    UsageExportQuery query;
    read_format(reader, query.format);
    query.which = read_selection(reader);
    return reader.finish(std::move(query), "format, startDate, endDate, endpoint, model, status and keyId");
}

Result<UsageSummaryQuery> usage_summary_query(const QueryParameters& parameters) {
    Reader reader(parameters);
    UsageSummaryQuery query;
    if (const auto by = reader.take("groupBy")) {
        const auto grouping = usage_grouping_of(by->value);
        if (!grouping || *grouping == UsageGrouping::user)
            reader.refuse(wrong(*by, "is no grouping; there are day, month, endpoint, model and key"));
        query.by = grouping.value_or(UsageGrouping::day);
    }
    if (auto zone = reader.take("timeZone")) {
        if (!may_be_time_zone(zone->value))
            reader.refuse(wrong(*zone, "is no time zone; write one like Europe/Paris, or UTC"));
        query.time_zone = std::move(zone->value);
    }
    query.which = read_selection(reader);
    return reader.finish(std::move(query), "groupBy, timeZone, startDate, endDate, endpoint, model, status and keyId");
}

Result<ConversationQuery> conversation_query(const QueryParameters& parameters) {
    Reader reader(parameters);
    ConversationQuery query;
    TransferFormat format = TransferFormat::json;
    read_format(reader, format);
    if (format != TransferFormat::json)
        reader.refuse(Error{"format \"csv\" is not there for conversations; there is json"});
    query.id = read_text(reader, "conversationId");
    query.range = read_range(reader);
    return reader.finish(std::move(query), "conversationId, startDate, endDate and format");
}

Result<ConversationListQuery> conversation_list_query(const QueryParameters& parameters) {
    Reader reader(parameters);
    ConversationListQuery query;
    read_page(reader, query.page);
    query.range = read_range(reader);
    return reader.finish(std::move(query), "limit, after, startDate and endDate");
}

Result<PageQuery> key_page_query(const QueryParameters& parameters) {
    return page_query(parameters, [](std::string_view place) { return is_uuid(place); });
}

Result<PageQuery> audit_page_query(const QueryParameters& parameters) {
    return page_query(parameters, [](std::string_view place) { return parse_decimal(place).has_value(); });
}

Result<ImportQuery> import_query(const QueryParameters& parameters) {
    Reader reader(parameters);
    ImportQuery query;
    read_format(reader, query.format);
    if (const auto dry_run = reader.take("dryRun")) {
        if (dry_run->value != "true" && dry_run->value != "false")
            reader.refuse(wrong(*dry_run, "is neither true nor false"));
        query.dry_run = dry_run->value == "true";
    }
    return reader.finish(query, "dryRun");
}

std::string download_name(const UsageExportQuery& query, Instant now) {
    return "usage-" + name_of_range(query.which.range, now) + (query.format == TransferFormat::csv ? ".csv" : ".json");
}

std::string download_name(const ConversationQuery& query, Instant now) {
    if (query.id) return "conversation.json";
    return "conversations-" + name_of_range(query.range, now) + ".json";
}

}  // namespace apikey
