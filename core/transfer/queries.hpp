// What a key holder can ask of exports, imports and lists (DESIGN §3.3), out of the parameters of the query. nginx checks a request by
// these functions before it asks apikeyd, and apikeyd reads what nginx wrote by the same.
//
// Errors name the parameter and what to write instead. A date alone is that whole day in UTC; the start belongs to a range, an end
// with a time does not. Nothing is guessed: unknown parameters and empty dates are errors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/iso_time.hpp"
#include "core/result.hpp"
#include "core/transfer/query_string.hpp"

namespace apikey {

enum class TransferFormat : std::uint8_t { json, csv };

// Which usage: what fits all that is given.
struct UsageSelection {
    OpenRange range;                      // of their dates
    std::optional<std::string> endpoint;  // any text
    std::optional<std::string> model;     // any text; empty: of requests without a model
    std::optional<std::string> status;    // success or error
    std::optional<std::string> key_id;    // a uuid
};

// GET …/export/usage
struct UsageExportQuery {
    TransferFormat format = TransferFormat::json;
    UsageSelection which;
};

enum class UsageGrouping : std::uint8_t { user, key, endpoint, model, day, month };
// "user", "key", …; nothing for anything else.
std::optional<UsageGrouping> usage_grouping_of(std::string_view name) noexcept;
std::string_view name_of(UsageGrouping by) noexcept;
// Whether its groups are times, which are listed in their order.
inline bool is_of_time(UsageGrouping by) noexcept {
    return by == UsageGrouping::day || by == UsageGrouping::month;
}

// GET …/export/usage/summary
struct UsageSummaryQuery {
    UsageGrouping by = UsageGrouping::day;  // never user
    std::string time_zone =
        "UTC";  // a name of the tz database by its form; whether there is such a zone, Postgres knows
    UsageSelection which;
};

// GET …/export/conversations
struct ConversationQuery {
    std::optional<std::string> id;
    OpenRange range;  // of the times when they were created
};

// GET …/api-keys, …/audit, …/export/conversations/summary: lists that are read in pages.
struct PageQuery {
    static constexpr std::uint64_t kMost = 1000;
    std::uint64_t limit = 50;
    std::optional<std::string> after;  // what the page before gave as `next`; empty is the same as none
};

// GET …/export/conversations/summary
struct ConversationListQuery {
    PageQuery page;
    OpenRange range;  // of the times when they were created
};

// POST …/import/…
struct ImportQuery {
    TransferFormat format = TransferFormat::json;
    bool dry_run = false;
};

Result<UsageExportQuery> usage_export_query(const QueryParameters& parameters);
Result<UsageSummaryQuery> usage_summary_query(const QueryParameters& parameters);
Result<ConversationQuery> conversation_query(const QueryParameters& parameters);
Result<ConversationListQuery> conversation_list_query(const QueryParameters& parameters);
// `after`: a key's id.
Result<PageQuery> key_page_query(const QueryParameters& parameters);
// `after`: a number.
Result<PageQuery> audit_page_query(const QueryParameters& parameters);
// Takes `format` too: a client says it by Content-Type alone, nginx hands it on so.
Result<ImportQuery> import_query(const QueryParameters& parameters);

// The name under which the answer is to be saved: usage-2026-11-01-2026-11-30.csv, conversations-all-2026-11-30.json. Where no start
// is given that is "all", where no end is given the day of `now`; times are written as 20261128T120000Z. Letters, digits, - and . only.
std::string download_name(const UsageExportQuery& query, Instant now);
std::string download_name(const ConversationQuery& query, Instant now);

}  // namespace apikey
