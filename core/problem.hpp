// The answer to a request that may not pass (DESIGN §3.2): status, problem document (RFC 9457) and
// challenge (RFC 6750 §3). Nothing of a request ever becomes part of it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/verdict.hpp"

namespace apikey {

// Seconds in the Retry-After of a 503: Redis is usually back, or replaced, within that time.
inline constexpr int kRetryAfterSeconds = 1;
inline constexpr std::string_view kProblemMediaType = "application/problem+json";

// 401, 403 or 503; 200 for valid.
int http_status(Verdict verdict) noexcept;

// The problem's `code`, e.g. "missing_api_key"; empty for valid.
std::string_view code(Verdict verdict) noexcept;

// The whole body, one line of JSON with type, title, status, code and detail; empty for valid.
std::string_view problem_document(Verdict verdict) noexcept;

// A problem document of another cause, of the same form. `detail` must be UTF-8; it is escaped. `more`: further members, as JSON
// without braces ("errors":[...]), or empty. Allocates, and may throw std::bad_alloc.
std::string problem_text(int status, std::string_view code, std::string_view title, std::string_view detail,
                         std::string_view more = {});

// Can this text stand in a quoted-string (RFC 9110 §5.6.4), so that the challenge shows it as it is?
bool valid_realm(std::string_view realm) noexcept;

// The value of WWW-Authenticate; empty for valid and unavailable, which carry none. `required` are
// the scopes of the location (used when forbidden). For configuration time: it allocates, and may
// throw std::bad_alloc. Bytes that no header may hold are left out of the realm.
std::string challenge(std::string_view realm, Verdict verdict, std::span<const std::string_view> required);

}  // namespace apikey
