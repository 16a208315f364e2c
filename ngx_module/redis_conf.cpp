#include "ngx_module/redis_conf.hpp"

#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "core/secret_file.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr const char* kDefaultRedis = "redis://127.0.0.1:6379/0";
constexpr ngx_msec_t kResolverTimeout = 30000;  // nginx's default
constexpr const char* kDefaultSidecar = "/run/apikeyd/apikeyd.sock";
static_assert(redis::kMaxUnixPath == sizeof(sockaddr_un::sun_path) - 1);

// The name in a parameter like timeout=250ms. Messages show no more of an unknown one: it may be a password.
std::string_view name_of(std::string_view parameter) {
    return parameter.substr(0, parameter.find('='));
}

// What follows `name` in a parameter like timeout=250ms; nothing when it is another parameter.
std::optional<std::string_view> parameter(std::string_view word, std::string_view name) {
    if (!word.starts_with(name)) return std::nullopt;
    return word.substr(name.size());
}

Address unix_address(const std::string& path) {
    sockaddr_un socket{};
    socket.sun_family = AF_UNIX;
    std::memcpy(socket.sun_path, path.data(), path.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(&socket);
    return {{bytes, bytes + sizeof(socket)}, "unix:" + path};
}

char* resolve(ngx_conf_t* cf, RedisConf& redis) {
    if (!redis.url.unix_path.empty()) {
        redis.addresses.push_back(unix_address(redis.url.unix_path));
        return NGX_CONF_OK;
    }
    const bool v6 = redis.url.host.find(':') != std::string::npos;
    const std::string host = v6 ? "[" + redis.url.host + "]" : redis.url.host;
    ngx_url_t url{};
    url.url = copied(cf->pool, host);
    if (url.url.data == nullptr) throw std::bad_alloc();
    url.default_port = redis.url.port;
    if (ngx_parse_url(cf->pool, &url) != NGX_OK || url.naddrs == 0) {
        const char* why = url.err != nullptr ? url.err : "no address";
        return wrong(cf, "api_key_redis: " + std::string(why) + " for \"" + redis.url.host +
                             "\"; write an address or a name that this host can resolve");
    }
    for (ngx_uint_t i = 0; i < url.naddrs; ++i) {
        const auto* bytes = reinterpret_cast<const std::byte*>(url.addrs[i].sockaddr);
        redis.addresses.push_back({{bytes, bytes + url.addrs[i].socklen}, std::string(view(url.addrs[i].name))});
    }
    return NGX_CONF_OK;
}

// The path a file parameter means: relative to nginx.conf, as everywhere in nginx.
std::string full_path(ngx_conf_t* cf, std::string_view path) {
    ngx_str_t name = copied(cf->pool, path);
    if (name.data == nullptr || ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) throw std::bad_alloc();
    return std::string(view(name));
}

// Reads the secret that parameter `name` of `directive` names.
char* read_secret(ngx_conf_t* cf, const char* directive, const char* name, const std::string& path,
                  std::string* secret) {
    const auto line = read_secret_file(path.c_str());
    if (!line) {
        const ngx_err_t error = errno;
        return wrong(cf,
                     std::string(directive) + ": cannot use " + name + " \"" + path +
                         "\"; it must exist, be readable by the user who starts nginx, and hold the "
                         "secret on its first line (1 to " +
                         std::to_string(kMaxSecretBytes) + " bytes)",
                     error);
    }
    *secret = *line;
    return NGX_CONF_OK;
}

char* read_time(ngx_conf_t* cf, std::string_view text, const char* name, ngx_msec_t* value) {
    ngx_str_t words = borrowed(text);
    const ngx_int_t time = ngx_parse_time(&words, 0);
    if (text.empty() || time == NGX_ERROR || time == 0) {
        return wrong(cf, "api_key_redis: \"" + std::string(text) + "\" is not a time above zero; write for example " +
                             name + "=250ms (a bare number counts seconds)");
    }
    *value = static_cast<ngx_msec_t>(time);
    return NGX_CONF_OK;
}

char* read_redis_parameter(ngx_conf_t* cf, std::string_view word, RedisConf& redis) {
    if (const auto path = parameter(word, "password_file=")) {
        redis.password_file = full_path(cf, *path);
        return read_secret(cf, "api_key_redis", "password_file", redis.password_file, &redis.password);
    }
    if (const auto path = parameter(word, "ca_file=")) {
        if (path->empty()) return wrong(cf, "api_key_redis: ca_file= names no file");
        redis.ca_file = full_path(cf, *path);
        return NGX_CONF_OK;
    }
    if (const auto time = parameter(word, "connect_timeout=")) {
        return read_time(cf, *time, "connect_timeout", &redis.connect_timeout);
    }
    if (const auto time = parameter(word, "timeout=")) {
        return read_time(cf, *time, "timeout", &redis.timeout);
    }
    return wrong(cf, "unknown parameter \"" + std::string(name_of(word)) +
                         "\" of api_key_redis; there are password_file=, ca_file=, timeout= and connect_timeout=");
}

// Reads the authorities once, here: workers may not be allowed to read the file, and a mistake ends at `nginx -t`.
char* prepare_tls(ngx_conf_t* cf, RedisConf& redis) {
    if (!redis.url.tls) {
        if (redis.ca_file.empty()) return NGX_CONF_OK;
        return wrong(cf,
                     "api_key_redis has a ca_file and no TLS; write rediss:// instead of redis://, or leave it out");
    }
    auto context = make_tls_context(redis.ca_file);
    if (!context) return wrong(cf, "api_key_redis: ca_file " + context.error());
    redis.tls = *context;
    return NGX_CONF_OK;
}

bool is_name(const redis::Url& url) {
    if (!url.unix_path.empty() || url.host.find(':') != std::string::npos) return false;
    const ngx_str_t host = borrowed(url.host);
    return ngx_inet_addr(host.data, host.len) == INADDR_NONE;
}

// The resolver of the http block, which is asked again where a name is; init_main_conf() comes before locations inherit
// it, so what was not written is not there yet.
void take_resolver(ngx_conf_t* cf, RedisConf& redis) {
    const auto& http =
        *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    if (!is_name(redis.url) || http.resolver == nullptr || http.resolver->connections.nelts == 0) return;
    redis.resolver = http.resolver;
    redis.resolver_timeout = http.resolver_timeout != NGX_CONF_UNSET_MSEC ? http.resolver_timeout : kResolverTimeout;
}

bool is_repeated(ngx_conf_t* cf, ngx_uint_t index) {
    for (ngx_uint_t i = 2; i < index; ++i) {
        if (name_of(argument(cf, i)) == name_of(argument(cf, index))) return true;
    }
    return false;
}

}  // namespace

char* read_redis_directive(ngx_conf_t* cf, MainConf& conf) {
    if (conf.redis != nullptr) return const_cast<char*>("is duplicate");
    const auto url = redis::parse_url(argument(cf, 1));
    if (!url) return wrong(cf, "api_key_redis: " + url.error());
    auto& redis = *(conf.redis = make_in_pool<RedisConf>(cf->pool));
    redis.url = *url;
    redis.password = url->password;
    for (ngx_uint_t i = 2; i < cf->args->nelts; ++i) {
        if (is_repeated(cf, i)) {
            return wrong(cf, "api_key_redis: " + std::string(name_of(argument(cf, i))) + "= stands twice; keep one");
        }
        if (char* failed = read_redis_parameter(cf, argument(cf, i), redis); failed != NGX_CONF_OK) return failed;
    }
    if (!redis.url.password.empty() && !redis.password_file.empty()) {
        return wrong(cf, "api_key_redis has a password in its URL and a password_file; keep the file");
    }
    if (!redis.url.user.empty() && redis.password.empty()) {
        return wrong(cf, "api_key_redis names a user without a password; add password_file=path");
    }
    if (char* failed = prepare_tls(cf, redis); failed != NGX_CONF_OK) return failed;
    return resolve(cf, redis);
}

char* read_sidecar_directive(ngx_conf_t* cf, MainConf& conf) {
    if (conf.sidecar != nullptr) return const_cast<char*>("is duplicate");
    const auto path = parameter(argument(cf, 1), "unix:");
    if (!path || !path->starts_with('/') || path->size() > redis::kMaxUnixPath) {
        return wrong(cf, "api_key_sidecar: \"" + std::string(argument(cf, 1)) +
                             "\" is no socket; write unix:/path (at most 107 bytes), as in apikeyd.yaml's listen");
    }
    conf.sidecar = make_in_pool<SidecarConf>(cf->pool);
    conf.sidecar->socket_path = *path;
    if (cf->args->nelts == 2) return NGX_CONF_OK;
    const auto file = parameter(argument(cf, 2), "secret_file=");
    if (!file) {
        return wrong(cf, "unknown parameter \"" + std::string(name_of(argument(cf, 2))) +
                             "\" of api_key_sidecar; there is secret_file=path");
    }
    return read_secret(cf, "api_key_sidecar", "secret_file", full_path(cf, *file), &conf.sidecar->secret);
}

char* finish_connections(ngx_conf_t* cf, MainConf& conf) {
    if (conf.sidecar == nullptr) {
        conf.sidecar = make_in_pool<SidecarConf>(cf->pool);
        conf.sidecar->socket_path = kDefaultSidecar;
    }
    conf.sidecar->peer = make_in_pool<SidecarPeer>(cf->pool, conf.sidecar->socket_path);
    if (conf.redis != nullptr) {
        take_resolver(cf, *conf.redis);
        return NGX_CONF_OK;
    }
    conf.redis = make_in_pool<RedisConf>(cf->pool);
    conf.redis->url = *redis::parse_url(kDefaultRedis);
    return resolve(cf, *conf.redis);
}

}  // namespace apikey::ngx
