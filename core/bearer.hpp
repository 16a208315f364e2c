// Finds the presented key in what a client sent: an Authorization field, or the value of another
// header, an argument or a cookie. Everything here is a view into the caller's bytes; nothing
// allocates, copies or throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace apikey {

inline constexpr std::size_t kMaxKeyBytes = 512;

struct Credentials {
    enum class Kind : std::uint8_t {
        none,       // no credentials of our kind are there
        malformed,  // they are, but what they hold cannot be a key
        present,    // they are; is_token68() says whether they can be a key
    };
    Kind kind = Kind::none;
    std::string_view token;  // only when present: 1 to kMaxKeyBytes bytes, part of what was parsed
};

// Is the token of Credentials that are present token68 (RFC 9110 §11.2)? Else they are malformed. Not looked at by the
// functions below, since it costs as much as all that they do: a key that is known need not be looked at again.
bool is_token68(std::string_view token) noexcept;

// The value of an Authorization field (RFC 9110 §11.4, RFC 6750 §2.1):
//
//   OWS "Bearer" 1*SP token OWS            present (the scheme in any case)
//   "Bearer" and then nothing, a HTAB, a
//   token of more than kMaxKeyBytes        malformed
//   empty, or any other scheme             none
Credentials parse_authorization(std::string_view field_value) noexcept;

// A key that stands alone, as in another header, an argument or a cookie: OWS token OWS, at most
// kMaxKeyBytes. Anything else, an empty value too, is malformed; never none.
Credentials parse_key(std::string_view value) noexcept;

// The value of the first cookie called `name` (case-sensitive) in the value of a Cookie field (RFC
// 6265 §4.2.1), without the double quotes around it. A semicolon ends a value, inside quotes too,
// as it does for browsers.
std::optional<std::string_view> find_cookie(std::string_view cookie_header_value, std::string_view name) noexcept;

// `in` with every %XX decoded (RFC 3986 §2.1), written into `out`; '+' stays '+'. Nothing when a
// '%' is not followed by two hex digits, or the result is longer than `out`. The result may hold
// any byte.
std::optional<std::string_view> percent_decode(std::string_view in, std::span<char> out) noexcept;

}  // namespace apikey
