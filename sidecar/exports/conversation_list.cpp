// Which conversations there are, as a JSON document.
#include <nlohmann/json.hpp>

#include "core/transfer/query_string.hpp"
#include "sidecar/exports/export.hpp"
#include "sidecar/exports/export_session.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kPlace = "SELECT created_at FROM conversations WHERE user_id = $1 AND id = $2";

// Backwards in the order of the index for exports. Messages are counted by theirs.
constexpr const char* kList =
    "SELECT id, title, model, to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
    "to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
    "(SELECT count(*) FROM messages WHERE messages.user_id = $1 AND conversation_id = conversations.id) "
    "FROM conversations WHERE user_id = $1 AND ($2::text IS NULL OR (created_at, id) < ($3::timestamptz, $2)) "
    "AND ($4::timestamptz IS NULL OR created_at >= $4) AND ($5::timestamptz IS NULL OR created_at < $5) "
    "ORDER BY created_at DESC, id DESC LIMIT $6::bigint";

Postgres::Parameter parameter(const std::optional<Instant>& at) {
    return at ? Postgres::Parameter(format_iso_time(*at)) : std::nullopt;
}

std::int64_t number(std::string_view digits) {
    return std::stoll(std::string(digits));
}

Json document_of(const PgResult& result, std::uint64_t limit) {
    const auto [shown, more] = page_rows(result, limit);
    Json data = Json::array();
    for (int row = 0; row < shown; ++row) {
        data.push_back({{"id", cell(result, row, 0)},
                        {"title", cell(result, row, 1)},
                        {"model", cell(result, row, 2)},
                        {"createdAt", cell(result, row, 3)},
                        {"updatedAt", cell(result, row, 4)},
                        {"messages", number(cell(result, row, 5))}});
    }
    Json next = nullptr;
    if (more) next = data.back()["id"];
    return {{"success", true}, {"data", std::move(data)}, {"next", std::move(next)}};
}

}  // namespace

Result<std::string> list_conversations(Postgres& postgres, const std::string& user,
                                       const ConversationListQuery& query) {
    UserSnapshot snapshot(postgres, user, kLongestLook, Reading::sums);
    const auto& [page, range] = query;
    Postgres::Parameter created;
    if (page.after) {
        const PgResult place = postgres.query(kPlace, {user, page.after});
        if (rows(place) == 0) {
            snapshot.end();
            return Error{"after " + quoted_for_message(*page.after) + " is no conversation in this list; begin again"};
        }
        created = cell(place, 0, 0);
    }
    const PgResult result = postgres.query(kList, {user, page.after, created, parameter(range.from),
                                                   parameter(range.until), std::to_string(page.limit + 1)});
    snapshot.end();
    return document_of(result, page.limit).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace apikey
