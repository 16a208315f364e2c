#include "sidecar/exports/statements.hpp"

namespace apikey {
namespace {

std::string in_range(const OpenRange& range, const std::string& column) {
    std::string condition;
    if (range.from) condition += " AND " + column + " >= current_setting('apikey.from')::timestamptz";
    if (range.until) condition += " AND " + column + " < current_setting('apikey.until')::timestamptz";
    return condition;
}

std::string equal(const char* column, const char* setting, const char* type = "text") {
    return std::string(" AND ") + column + " = (SELECT current_setting('apikey." + setting + "')::" + type + ")";
}

}  // namespace

std::string copy_usage(const UsageSelection& which) {
    std::string conditions = in_range(which.range, "bucket");
    if (which.endpoint) conditions += equal("endpoint", "endpoint");
    if (which.model) conditions += equal("model", "model");
    if (which.status) conditions += equal("status", "status");
    if (which.key_id) conditions += equal("key_id", "key", "uuid");
    // The primary key's order is by bucket: what is sorted is no more than one bucket at a time.
    return "COPY (SELECT bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost FROM usage_records "
           "WHERE user_id = current_setting('apikey.user')" +
           conditions + " ORDER BY bucket, endpoint, model, status) TO STDOUT";
}

std::string copy_conversations(const ConversationQuery& query) {
    std::string conditions = in_range(query.range, "created_at");
    if (query.id) conditions += " AND id = current_setting('apikey.id')";
    // OFFSET 0 keeps the planner from taking the subqueries apart: conversations are ordered before messages are joined to them, and
    // messages come in their index's order, so that nothing that holds contents is ever sorted.
    return "COPY (SELECT m.number, c.id, CASE WHEN m.number > 1 THEN NULL ELSE c.title END, "
           "CASE WHEN m.number > 1 THEN NULL ELSE c.model END, CASE WHEN m.number > 1 THEN NULL ELSE c.metadata END, "
           "CASE WHEN m.number > 1 THEN NULL ELSE c.created_at END, "
           "CASE WHEN m.number > 1 THEN NULL ELSE c.updated_at END, "
           "m.id, m.role, m.content, m.metadata, m.created_at FROM "
           "(SELECT id, title, model, metadata, created_at, updated_at FROM conversations "
           "WHERE user_id = current_setting('apikey.user')" +
           conditions +
           " ORDER BY created_at, id OFFSET 0) AS c LEFT JOIN LATERAL "
           "(SELECT row_number() OVER (ORDER BY position) AS number, id, role, content, metadata, created_at "
           "FROM messages WHERE user_id = current_setting('apikey.user') AND conversation_id = c.id "
           "ORDER BY position OFFSET 0) AS m ON true ORDER BY c.created_at, c.id) TO STDOUT";
}

}  // namespace apikey
