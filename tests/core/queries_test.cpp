// Hazards: D8, D10, V2, V5, X18
#include "core/transfer/queries.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr Instant kNow = sys_days(std::chrono::year(2026) / 11 / 28) + std::chrono::hours(2);

QueryParameters parameters_of(std::string_view query) {
    auto parameters = read_query(query);
    EXPECT_TRUE(parameters) << query;
    return *parameters;
}

template <class Query>
std::string error_of(Result<Query> (*read)(const QueryParameters&), std::string_view query) {
    const auto result = read(parameters_of(query));
    return result ? "none" : result.error();
}

std::string range_of(std::string_view query) {
    const auto read = usage_export_query(parameters_of(query));
    if (!read) return read.error();
    const OpenRange& range = read->which.range;
    return (range.from ? format_iso_time(*range.from) : "...") + std::string(" ") +
           (range.until ? format_iso_time(*range.until) : "...");
}

TEST(UsageExportQuery, HasDefaults) {
    const auto query = usage_export_query({});
    ASSERT_TRUE(query);
    EXPECT_EQ(query->format, TransferFormat::json);
    EXPECT_FALSE(query->which.range.from || query->which.range.until || query->which.endpoint || query->which.model ||
                 query->which.status || query->which.key_id);
}

TEST(UsageExportQuery, ReadsAllParameters) {
    const auto query =
        usage_export_query(parameters_of("format=csv&endpoint=%2Fa&model=&status=error&keyId=00000000-0000-4000-8000-"
                                         "00000000000A&startDate=2025-01-01"));
    ASSERT_TRUE(query);
    EXPECT_EQ(query->format, TransferFormat::csv);
    EXPECT_EQ(query->which.endpoint, "/a");
    EXPECT_EQ(query->which.model, "");
    EXPECT_EQ(query->which.status, "error");
    EXPECT_EQ(query->which.key_id, "00000000-0000-4000-8000-00000000000A");
}

TEST(UsageExportQuery, ReadsRanges) {
    EXPECT_EQ(range_of(""), "... ...");
    EXPECT_EQ(range_of("startDate=2025-01-01"), "2025-01-01T00:00:00Z ...");
    EXPECT_EQ(range_of("endDate=2025-02-05"), "... 2025-02-06T00:00:00Z") << "a date alone is that whole day";
    EXPECT_EQ(range_of("endDate=2025-02-05T00:00:00Z"), "... 2025-02-05T00:00:00Z") << "a time does not belong to it";
    EXPECT_EQ(range_of("startDate=2025-01-01&endDate=2025-01-01"), "2025-01-01T00:00:00Z 2025-01-02T00:00:00Z");
    EXPECT_EQ(range_of("startDate=2025-01-01T10:00:00%2B02:00&endDate=2025-01-01T08:00:00Z"),
              "2025-01-01T08:00:00Z 2025-01-01T08:00:00Z")
        << "empty, and no mistake";
    EXPECT_EQ(range_of("startDate=2025-01-01T23:59:59.999999Z&endDate=2028-02-29"),
              "2025-01-01T23:59:59.999999Z 2028-03-01T00:00:00Z");
    EXPECT_EQ(range_of("startDate=0001-01-01&endDate=9999-12-31"), "0001-01-01T00:00:00Z 10000-01-01T00:00:00Z");
}

TEST(UsageExportQuery, RefusesBadRanges) {
    const std::string before = "endDate is before startDate";
    EXPECT_EQ(range_of("startDate=2025-01-02&endDate=2025-01-01"), before);
    EXPECT_EQ(range_of("startDate=2025-01-02T00:00:00Z&endDate=2025-01-01"), before);
    EXPECT_EQ(range_of("startDate=2025-01-02&endDate=2025-01-01T23:59:59.999999Z"), before);
    for (const char* text : {"", "2025", "2025-02-30", "2025-13-01", "2025-01-01T", "2025-01-01T24:00:00Z",
                             "2025-01-01T00:00:00", "2016-12-31T23:59:60Z", "0000-01-01", "10000-01-01", "-2025-01-01",
                             "now", "2025-01-01 00:00:00Z", "2025-W01-1"}) {
        EXPECT_TRUE(range_of("startDate=" + std::string(text))
                        .starts_with("startDate \"" + std::string(text) + "\" is no date"))
            << text;
        EXPECT_TRUE(range_of("endDate=" + std::string(text)).starts_with("endDate \"")) << text;
    }
    EXPECT_EQ(
        range_of("startDate=2025-01-01T00:00:00+02:00"),
        R"(startDate "2025-01-01T00:00:00 02:00" is no date and no time with its zone; in a URL a + is written %2B)");
}

TEST(UsageExportQuery, NamesWhatIsWrong) {
    EXPECT_EQ(error_of(usage_export_query, "format=xml"), R"(format "xml" is no format; there are csv and json)");
    EXPECT_EQ(error_of(usage_export_query, "format=CSV"), R"(format "CSV" is no format; there are csv and json)");
    EXPECT_EQ(error_of(usage_export_query, "status=ok"), R"(status "ok" is no status; there are success and error)");
    EXPECT_EQ(error_of(usage_export_query, "keyId=1"), R"(keyId "1" is no key's id, which is a UUID)");
    EXPECT_EQ(error_of(usage_export_query, "user_id=bob"),
              "the parameter \"user_id\" is unknown here; there are format, startDate, endDate, endpoint, model, "
              "status and keyId");
    EXPECT_EQ(error_of(usage_export_query, "zzz=1&format=xml&status=ok"),
              R"(format "xml" is no format; there are csv and json)")
        << "the first that is known";
}

TEST(UsageSummaryQuery, TakesGroupingsAndZones) {
    const auto standard = usage_summary_query({});
    ASSERT_TRUE(standard);
    EXPECT_EQ(standard->by, UsageGrouping::day);
    EXPECT_EQ(standard->time_zone, "UTC");
    for (const char* by : {"day", "month", "endpoint", "model", "key"}) {
        const auto query = usage_summary_query(parameters_of("groupBy=" + std::string(by)));
        ASSERT_TRUE(query) << by;
        EXPECT_EQ(name_of(query->by), by);
    }
    for (const char* by : {"user", "week", "", "Day"})
        EXPECT_EQ(error_of(usage_summary_query, "groupBy=" + std::string(by)),
                  "groupBy \"" + std::string(by) + "\" is no grouping; there are day, month, endpoint, model and key");
    for (const char* zone :
         {"UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT%2B1", "America/Port-au-Prince"})
        EXPECT_EQ(error_of(usage_summary_query, "timeZone=" + std::string(zone)), "none") << zone;
    for (const char* zone : {"", "utc", "CET", "EST5EDT", "<%2B03>-3", "/etc/localtime", "../x", "europe/paris",
                             "Europe/Par is", "A/%00"}) {
        const auto query = read_query("timeZone=" + std::string(zone));
        EXPECT_FALSE(query && usage_summary_query(*query)) << zone;
    }
}

TEST(ConversationQuery, TakesAnyId) {
    const auto query = conversation_query(parameters_of("conversationId=..%2F%27%22%0a&format=json"));
    ASSERT_TRUE(query);
    EXPECT_EQ(query->id, "../'\"\n");
    EXPECT_EQ(error_of(conversation_query, "format=csv"),
              R"(format "csv" is not there for conversations; there is json)");
    EXPECT_EQ(error_of(conversation_query, "model=x"),
              R"(the parameter "model" is unknown here; there are conversationId, startDate, endDate and format)");
}

TEST(ConversationListQuery, TakesAPageOfARange) {
    const auto query = conversation_list_query(parameters_of("limit=7&after=%27x&startDate=2026-11-01"));
    ASSERT_TRUE(query);
    EXPECT_EQ(query->page.limit, 7U);
    EXPECT_EQ(query->page.after, "'x");
    EXPECT_TRUE(query->range.from && !query->range.until);
    EXPECT_EQ(error_of(conversation_list_query, "format=json"),
              R"(the parameter "format" is unknown here; there are limit, after, startDate and endDate)");
}

TEST(PageQuery, TakesALimitAndAPlace) {
    constexpr std::string_view kId = "534101ad-b31d-4ec2-95e2-3f509d8b347d";
    EXPECT_EQ(key_page_query({})->limit, 50U);
    EXPECT_FALSE(key_page_query({})->after);
    EXPECT_FALSE(key_page_query(parameters_of("limit=50&after="))->after);
    EXPECT_EQ(key_page_query(parameters_of("limit=1000&after=" + std::string(kId)))->after, kId);
    EXPECT_EQ(audit_page_query(parameters_of("limit=1&after=12"))->after, "12");
    for (const char* limit : {"0", "1001", "-1", "1.5", "", "18446744073709551617"})
        EXPECT_EQ(error_of(key_page_query, "limit=" + std::string(limit)),
                  "limit \"" + std::string(limit) + "\" is no number from 1 to 1000");
    EXPECT_EQ(error_of(key_page_query, "after=12"),
              R"(after "12" is no place in this list; write what the page before gave as next)");
    EXPECT_EQ(error_of(audit_page_query, "after=" + std::string(kId)),
              "after \"" + std::string(kId) + "\" is no place in this list; write what the page before gave as next");
    EXPECT_EQ(error_of(audit_page_query, "user=bob"),
              R"(the parameter "user" is unknown here; there are limit and after)");
}

TEST(ImportQuery, TakesDryRun) {
    EXPECT_FALSE(import_query({})->dry_run);
    EXPECT_TRUE(import_query(parameters_of("dryRun=true"))->dry_run);
    EXPECT_FALSE(import_query(parameters_of("dryRun=false&format=csv"))->dry_run);
    for (const char* text : {"", "1", "yes", "True"})
        EXPECT_EQ(error_of(import_query, "dryRun=" + std::string(text)),
                  "dryRun \"" + std::string(text) + "\" is neither true nor false");
}

TEST(DownloadName, TellsTheRange) {
    const auto name = [](std::string_view query) {
        return download_name(*usage_export_query(parameters_of(query)), kNow);
    };
    EXPECT_EQ(name("format=csv&startDate=2025-01-01&endDate=2025-02-05"), "usage-2025-01-01-2025-02-05.csv");
    EXPECT_EQ(name(""), "usage-all-2026-11-28.json");
    EXPECT_EQ(name("startDate=2025-01-01"), "usage-2025-01-01-2026-11-28.json");
    EXPECT_EQ(name("endDate=2025-02-05"), "usage-all-2025-02-05.json");
    EXPECT_EQ(name("startDate=2025-01-01T10:00:00.5Z&endDate=2025-01-01T12:00:00Z"),
              "usage-20250101T100000.5Z-20250101T120000Z.json");
    EXPECT_EQ(download_name(*conversation_query(parameters_of("startDate=2025-01-01")), kNow),
              "conversations-2025-01-01-2026-11-28.json");
    EXPECT_EQ(download_name(*conversation_query(parameters_of("conversationId=%0d%0a%22")), kNow), "conversation.json");
}

}  // namespace
}  // namespace apikey
