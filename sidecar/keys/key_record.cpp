#include "sidecar/keys/key_record.hpp"

#include <nlohmann/json.hpp>

namespace apikey {

std::optional<std::vector<std::string>> scopes_of(const std::optional<std::string>& json) {
    if (!json) return std::nullopt;
    std::vector<std::string> scopes;
    for (const auto& scope : nlohmann::json::parse(*json)) {
        scopes.push_back(scope.is_string() ? scope.get<std::string>() : scope.dump());
    }
    return scopes;
}

#define ISO_TIME(column) "to_char(" column ", 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

// Infinite times have no digits: to_char gives an empty text, and we NULL.
const char* const kRecordColumns =
    "id::text, user_id, name, prefix, to_json(scopes)::text, "
    "nullif(" ISO_TIME("created_at") ", ''), nullif(" ISO_TIME("last_used_at") ", ''), "
    "nullif(" ISO_TIME("expires_at") ", ''), coalesce(is_active AND revoked_at IS NULL, false)";

#undef ISO_TIME

KeyRecord record_of(const PgResult& result, int row) {
    KeyRecord record;
    record.id = cell(result, row, 0);
    record.user = cell(result, row, 1);
    record.name = cell(result, row, 2);
    record.prefix = cell(result, row, 3);
    record.scopes = scopes_of(text_or_null(result, row, 4));
    record.created_at = text_or_null(result, row, 5);
    record.last_used_at = text_or_null(result, row, 6);
    record.expires_at = text_or_null(result, row, 7);
    record.is_active = cell(result, row, 8) == "t";
    return record;
}

}  // namespace apikey
