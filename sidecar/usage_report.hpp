// What keys were used for, summed by Postgres: the figures of `apikeyctl usage` and of summaries.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/iso_time.hpp"
#include "core/transfer/queries.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

// Which rows count: those that fit all that is given.
struct UsageFilter {
    OpenRange range;                      // of their buckets
    std::optional<std::string> user;      // any text
    std::optional<std::string> key;       // a uuid
    std::optional<std::string> endpoint;  // any text
    std::optional<std::string> model;     // any text; empty: of requests without a model
    std::optional<std::string> status;    // success or error
};

// Sums as Postgres' numeric writes them: digits, of the cost with decimals, without trailing zeros. Exact, and perhaps larger
// than any integer type. They are JSON numbers, too.
struct UsageSums {
    std::string requests;
    std::string tokens_in;
    std::string tokens_out;
    std::string tokens_cached;
    std::string cost;
    std::string errors;  // requests of status error
};

struct UsageGroup {
    std::string name;                     // the user, the key's id, …; 2026-11-28, 2026-11
    std::string user;                     // by key: whose it is
    std::optional<std::string> key_name;  // by key: what it is called, while it exists
    UsageSums sums;
};

struct UsageReport {
    std::vector<UsageGroup> groups;  // most requests first; times in their order
    UsageSums total;                 // of all groups, also those left out
    std::string group_count;         // how many groups there are
};

enum class UsageFigures : std::uint8_t {
    all,
    of_summary,  // without tokens_cached and errors, which are 0 then: a tenth less work for Postgres
};

// At most `limit` groups: those with the most requests, or the latest times; nothing: all. One statement, so that the groups
// and the total fit together. Days and months are those of the session's TimeZone. Throws PostgresError.
UsageReport report_usage(Postgres& postgres, UsageGrouping by, const UsageFilter& filter,
                         std::optional<std::uint64_t> limit, UsageFigures figures = UsageFigures::all);

}  // namespace apikey
