#include "sidecar/keys/key_json.hpp"

namespace apikey {

Json to_json(const KeyRecord& record, Reader reader) {
    Json scopes = nullptr;
    if (record.scopes) scopes = *record.scopes;
    Json json = {{"id", record.id}};
    if (reader == Reader::apikeyctl) json["user"] = record.user;
    json.update({{"name", record.name},
                 {"prefix", record.prefix},
                 {"scopes", scopes},
                 {"createdAt", or_null(record.created_at)},
                 {"lastUsedAt", or_null(record.last_used_at)},
                 {"expiresAt", or_null(record.expires_at)},
                 {"isActive", record.is_active}});
    return json;
}

Json to_json(const AuditEntry& entry, Reader reader) {
    const bool tells_who = reader == Reader::apikeyctl || entry.source == kSourceApi;
    Json json = {{"at", entry.at}, {"action", entry.action}};
    if (reader == Reader::apikeyctl) json["user"] = entry.user;
    json.update({{"keyId", or_null(entry.key_id)},
                 {"keyName", or_null(entry.key_name)},
                 {"keyPrefix", or_null(entry.key_prefix)},
                 {"actor", tells_who ? Json(entry.actor) : Json(nullptr)},
                 {"actorKeyId", tells_who ? or_null(entry.actor_key) : Json(nullptr)},
                 {"source", entry.source},
                 {"address", tells_who ? or_null(entry.address) : Json(nullptr)},
                 {"changes", Json::parse(entry.details)}});
    return json;
}

void add_to_json(Json& json, const Confirmation& confirmation) {
    const Done done = confirmation.done.value_or(Done{});
    json["inForce"] = confirmation.in_force();
    json["confirmed"] = done.confirmed;
    json["expected"] = done.expected;
    json["milliseconds"] = confirmation.milliseconds;
}

}  // namespace apikey
