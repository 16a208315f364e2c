// Keys and what became of them, as JSON: for clients of the API and for apikeyctl --json.
#pragma once

#include <nlohmann/json.hpp>

#include "sidecar/keys/audit_log.hpp"
#include "sidecar/keys/confirmation.hpp"
#include "sidecar/keys/key_record.hpp"

namespace apikey {

using Json = nlohmann::ordered_json;

// Who reads it: an operator is told whose it is, a key holder who of the operator's side did something is not.
enum class Reader : std::uint8_t { holder, apikeyctl };

// {id, name, prefix, scopes, createdAt, lastUsedAt, expiresAt, isActive}; for an operator also user.
Json to_json(const KeyRecord& record, Reader reader);
// Likewise of one line of audit_log: {at, action, keyId, keyName, keyPrefix, actor, actorKeyId, source, address, changes}.
Json to_json(const AuditEntry& entry, Reader reader);
// inForce, confirmed, expected, milliseconds.
void add_to_json(Json& json, const Confirmation& confirmation);

inline Json or_null(const std::optional<std::string>& text) {
    return text ? Json(*text) : Json(nullptr);
}

// Bytes that are no UTF-8, as an application's table in another encoding may hold, are replaced.
inline std::string text_of(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace apikey
