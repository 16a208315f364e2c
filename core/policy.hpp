// May this key do what is asked, now and here? Judged anew in every location a request passes
// through, from facts that were looked up once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/verdict.hpp"

namespace apikey {

// What of a key's facts decides; a view, so that it serves wherever the facts were copied to.
struct KeyPolicy {
    std::string_view scopes;   // separated by spaces; a "*" among them stands for all
    std::int64_t expires = 0;  // unix seconds, refused from this second on; 0 = never (kNeverExpires)
};

// Is `wanted` among the scopes, or "*"?
bool grants(std::string_view scopes, std::string_view wanted) noexcept;

// valid, expired, or forbidden when one of `required` is not among the scopes. An expired key is
// expired, whatever its scopes. Does not allocate.
inline Verdict judge(const KeyPolicy& key, std::int64_t now_unix_seconds,
                     std::span<const std::string_view> required) noexcept {
    if (key.expires != 0 && now_unix_seconds >= key.expires) return Verdict::expired;
    for (const std::string_view wanted : required) {
        if (!grants(key.scopes, wanted)) return Verdict::forbidden;
    }
    return Verdict::valid;
}

// Is this one scope-token (RFC 6749 §3.3): not empty, printable ASCII without space, '"' and '\'?
bool valid_scope(std::string_view scope) noexcept;

}  // namespace apikey
