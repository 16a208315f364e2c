// Exports: what Postgres holds of one user, streamed (DESIGN §3.3).
//
// Each is one read-only transaction with one snapshot, under the user's own role and claims. Memory does not depend on how much it is:
// no more than one row and one buffer is held. Nothing is written to the sink before Postgres has sent its first row, or said that
// there is none: what fails before that can still be refused.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/transfer/queries.hpp"
#include "sidecar/byte_stream.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

struct ExportHooks {
    // Empty: nobody asks.
    std::function<void(std::uint64_t rows)> on_rows;  // now and then, and at the end
    // Of usage: the first row of this date begins after so many bytes of the export, those included that the sink has not got.
    std::function<void(const std::string& date, std::uint64_t bytes)> on_date;
};

// All throw PostgresError, what `sink` throws, and what ends a wait of `postgres` (Postgres::give_up_with). The query is cancelled
// then, `postgres` must be thrown away, and the sink has got less than the whole, which whoever made it must show. They return how
// many rows (conversations) were written.
std::uint64_t export_usage(Postgres& postgres, const std::string& user, const UsageExportQuery& query, ByteSink& sink,
                           const ExportHooks& hooks = {});
// Nothing when query.id names no conversation of this user's; nothing was written then.
std::optional<std::uint64_t> export_conversations(Postgres& postgres, const std::string& user,
                                                  const ConversationQuery& query, ByteSink& sink,
                                                  const ExportHooks& hooks = {});

// The answer to …/export/usage/summary, a JSON document. Error: there is no such time zone.
Result<std::string> summarize_usage(Postgres& postgres, const std::string& user, const UsageSummaryQuery& query);

// The answer to …/export/conversations/summary, a JSON document: the latest first, without what was said. Error: `after` is no
// conversation of this user's.
Result<std::string> list_conversations(Postgres& postgres, const std::string& user, const ConversationListQuery& query);

}  // namespace apikey
