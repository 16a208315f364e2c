#include "core/redis/url.hpp"

#include <array>
#include <charconv>
#include <optional>

#include "core/bearer.hpp"

namespace apikey::redis {

namespace {

constexpr int kMaxDatabase = 16383;
constexpr std::size_t kMaxCredential = 512;
constexpr const char* kForms =
    "write redis://[user[:password]@]host[:port][/database], the same with rediss:// (TLS), or "
    "unix:/path[?db=database]";

template <class Number>
std::optional<Number> number(std::string_view text, Number most) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
    return value;
}

Error wrong(std::string what) {
    return Error{std::move(what) + "; " + kForms};
}

std::optional<std::string> decoded(std::string_view text) {
    std::array<char, kMaxCredential> room{};
    const auto plain = percent_decode(text, room);
    if (!plain) return std::nullopt;
    return std::string(*plain);
}

bool has_control_or_space(std::string_view text) {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return true;
    }
    return false;
}

Result<Url> parse_unix(std::string_view rest) {
    Url url;
    const std::size_t query = rest.find('?');
    url.unix_path = rest.substr(0, query);
    if (url.unix_path.empty() || url.unix_path.front() != '/') {
        return wrong("a unix socket needs an absolute path");
    }
    if (url.unix_path.size() > kMaxUnixPath) return Error{"the socket's path is longer than 107 bytes"};
    if (query == std::string_view::npos) return url;
    const std::string_view option = rest.substr(query + 1);
    if (!option.starts_with("db=")) return wrong("only ?db=number may follow a socket's path");
    const auto db = number<int>(option.substr(3), kMaxDatabase);
    if (!db || *db < 0) return wrong("the database is not a number");
    url.database = *db;
    return url;
}

std::optional<std::string> take_credentials(std::string_view text, Url& url) {
    const std::size_t colon = text.find(':');
    const auto user = decoded(text.substr(0, colon));
    const auto password = colon == std::string_view::npos ? std::string() : decoded(text.substr(colon + 1));
    if (!user || !password) return "user or password has a % that is not followed by two hex digits, or is too long";
    url.user = *user;
    url.password = *password;
    return std::nullopt;
}

std::optional<std::string> take_host(std::string_view text, Url& url) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) return "the IPv6 address lacks its ]";
        url.host = text.substr(1, close - 1);
        port = text.substr(close + 1);
    } else {
        const std::size_t colon = text.find(':');
        url.host = text.substr(0, colon);
        port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
    }
    if (url.host.empty()) return "there is no host";
    if (port.empty()) return std::nullopt;
    const auto value = port.front() == ':' ? number<std::uint16_t>(port.substr(1), 65535) : std::nullopt;
    if (!value || *value == 0) return "the port is not a number from 1 to 65535";
    url.port = *value;
    return std::nullopt;
}

Result<Url> parse_tcp(std::string_view rest) {
    Url url;
    const std::size_t slash = rest.find('/');
    const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
    std::string_view authority = rest.substr(0, slash);
    const std::size_t at = authority.rfind('@');
    if (at != std::string_view::npos) {
        if (const auto what = take_credentials(authority.substr(0, at), url)) return wrong(*what);
        authority.remove_prefix(at + 1);
    }
    if (const auto what = take_host(authority, url)) return wrong(*what);
    if (path.empty()) return url;
    const auto db = number<int>(path, kMaxDatabase);
    if (!db || *db < 0) return wrong("the database is not a number");
    url.database = *db;
    return url;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
    if (has_control_or_space(text)) return wrong("there is a space or control byte in it");
    if (text.starts_with("rediss://")) {
        auto url = parse_tcp(text.substr(9));
        if (url) url->tls = true;
        return url;
    }
    if (text.starts_with("redis://")) return parse_tcp(text.substr(8));
    if (text.starts_with("unix:")) return parse_unix(text.substr(5));
    return wrong("it begins with none of redis://, rediss:// and unix:");
}

std::string display(const Url& url) {
    const std::string db = std::to_string(url.database);
    if (!url.unix_path.empty()) return "unix:" + url.unix_path + "?db=" + db;
    const bool v6 = url.host.find(':') != std::string::npos;
    const std::string host = v6 ? "[" + url.host + "]" : url.host;
    return (url.tls ? "rediss://" : "redis://") + host + ":" + std::to_string(url.port) + "/" + db;
}

}  // namespace apikey::redis
