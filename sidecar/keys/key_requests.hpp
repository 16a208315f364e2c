// The bodies of requests about keys (DESIGN §3.3), read and checked.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "sidecar/keys/key_store.hpp"

namespace apikey {

// Of a rotation that does not say: how long the old key still works.
inline constexpr std::chrono::hours kDefaultOverlap{24};

// Errors are for the client: what is wrong with which field, and what to write instead. A body is one JSON object; unknown and repeated
// fields are errors.

// {"name": text, "scopes": [text, …] or null, "expiresAt": text or null}: the user is not in it. An expiry is a date (its first second in
// UTC) or a time with its zone, after `now`.
Result<NewKey> new_key_request(std::string_view body, std::chrono::sys_seconds now);
// {"name": text}
Result<std::string> rename_request(std::string_view body);
// {"overlap": "24h"}, {}, or nothing at all.
Result<std::chrono::seconds> rotate_request(std::string_view body);

}  // namespace apikey
