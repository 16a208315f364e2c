// Where Redis is: the one notation of nginx.conf (`api_key_redis`) and apikeyd.yaml (`redis`).
//
//   url      := tcp | unix
//   tcp      := ( "redis://" | "rediss://" ) [ [user] ":" password "@" | user "@" ] host [ ":" port ] [ "/" [ db ] ]
//   unix     := "unix:" path [ "?db=" db ]
//   host     := name | IPv4 | "[" IPv6 "]"
//
// rediss:// is TLS. User and password are percent-decoded (RFC 3986 §2.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace apikey::redis {

// The longest path of a Unix socket: sockaddr_un.sun_path without its terminating zero (unix(7)).
inline constexpr std::size_t kMaxUnixPath = 107;

struct Url {
    std::string unix_path;  // empty: TCP
    std::string host;       // without brackets
    std::uint16_t port = 6379;
    bool tls = false;
    std::string user;      // empty: the default user
    std::string password;  // empty: no AUTH
    int database = 0;
};

// Error: a sentence that says what to write instead, and never repeats the password.
Result<Url> parse_url(std::string_view text);

// For logs and messages: the place without user and password, e.g. "redis://127.0.0.1:6379/0".
std::string display(const Url& url);

}  // namespace apikey::redis
