// What nginx.conf says, as the request path reads it. Written while nginx.conf is read, const ever after.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/freshness.hpp"
#include "core/redis/url.hpp"
#include "core/tls_session.hpp"
#include "core/usage/usage_slot.hpp"
#include "core/verdict.hpp"
#include "ngx_module/ngx.hpp"
#include "ngx_module/sidecar_peer.hpp"

namespace apikey::ngx {

struct Address {
    std::vector<std::byte> socket_address;  // a struct sockaddr of its family
    std::string name;                       // for logs
};

// api_key_redis
struct RedisConf {
    redis::Url url;
    std::vector<Address> addresses;
    std::string password_file;  // empty: none
    std::string password;       // of the URL, or of the file when nginx.conf was read
    std::string ca_file;        // empty: the system's store
    TlsContext tls;             // null: not over TLS
    ngx_msec_t timeout = 250;
    ngx_msec_t connect_timeout = 500;
    ngx_resolver_t* resolver = nullptr;  // nginx's; null: the addresses stay
    ngx_msec_t resolver_timeout = 0;
};

// api_key_sidecar
struct SidecarConf {
    std::string socket_path;
    std::string secret;           // the first line of secret_file, empty: none
    SidecarPeer* peer = nullptr;  // in the configuration's pool, like this
};

struct LocationConf;

// A location in which api_key_user says who asks (identity_guard.cpp).
struct GuardedIdentity {
    void** loc_conf;
    void** srv_conf;
    const LocationConf* conf;
};

struct MainConf {
    ngx_shm_zone_t* zone;         // api_key_zone, null: none
    RedisConf* redis;             // in the configuration's pool
    ngx_str_t redis_prefix;       // api_key_redis_prefix
    SidecarConf* sidecar;         // in the configuration's pool
    ngx_msec_t usage_interval;    // api_key_usage_interval
    ngx_str_t spool;              // api_key_spool, absolute; empty: none
    bool used;                    // api_key is on somewhere
    bool used_in_preaccess;       // and api_key_phase is preaccess there
    bool used_in_satisfy_any;     // and `satisfy any` is
    bool warned_of_headers;       // warn_of_kept_headers() has spoken
    std::int64_t longest_cached;  // the longest valid= + stale= of api_key_cache where api_key is on, in milliseconds
    std::vector<GuardedIdentity>* guarded;  // in the configuration's pool; null: none
};

// One word of api_key_source.
struct Source {
    enum class Place { bearer, header, argument, cookie };
    Place place;
    std::string_view name;  // of the header, argument or cookie; in the configuration's pool
};

// api_key_usage_response
enum class ResponseUsage : ngx_uint_t { off, openai };

// api_key_export, api_key_import, api_key_manage
enum class Content : std::uint8_t {
    none,
    export_usage,
    export_conversations,
    import_usage,
    import_conversations,
    manage
};

// Lists live in the configuration's pool and are destroyed with it.
using Sources = std::vector<Source>;
using Scopes = std::vector<std::string_view>;

// What a key must be allowed to do something, and the challenge to one that is not.
struct NeededScopes {
    const Scopes* scopes;
    const ngx_str_t* challenge;
};

// Of api_key_manage: for anything at all (api_key_require), to read, to change.
struct ManageScopes {
    NeededScopes any;
    NeededScopes read;
    NeededScopes write;
};

struct LocationConf {
    ngx_flag_t enabled;  // api_key
    ngx_str_t realm;
    ngx_str_t declared_in;    // the file and line of the api_key directive, for messages
    Sources* sources;         // api_key_source, null: bearer
    ngx_flag_t checksum;      // api_key_checksum
    Scopes* written_scopes;   // api_key_require, null: none
    Scopes* required;         // these, and what a content handler needs of every request; null: none
    ngx_uint_t phase;         // api_key_phase: NGX_HTTP_ACCESS_PHASE or NGX_HTTP_PREACCESS_PHASE
    const CacheTimes* cache;  // api_key_cache, in the configuration's pool; null until inherited
    // What is recorded of a request (usage_capture.cpp). Values: null where nginx.conf names none.
    ngx_flag_t usage;                           // api_key_usage
    ngx_http_complex_value_t* usage_endpoint;   // api_key_usage_endpoint
    ngx_http_complex_value_t* usage_model;      // api_key_usage_model
    ngx_http_complex_value_t* usage_tokens_in;  // api_key_usage_tokens
    ngx_http_complex_value_t* usage_tokens_out;
    ngx_http_complex_value_t* usage_cost;  // api_key_usage_cost
    bool names_values;                     // any of model, tokens and cost
    ngx_uint_t response_usage;             // api_key_usage_response: a ResponseUsage
    usage::Label endpoint_label;           // where it takes no variables; in the configuration's pool
    usage::Label model_label;
    usage::Label no_model;
    Content content;                    // what its content handler serves; inherited by its if and limit_except alone
    const ManageScopes* manage;         // of api_key_manage, in the configuration's pool
    ngx_str_t content_in;               // the file and line of that directive, for messages
    ngx_http_upstream_conf_t* sidecar;  // how it asks apikeyd
    ngx_http_complex_value_t* user;     // api_key_user, null: $api_key_user
    bool names_remote_user;             // $remote_user is in it
    ngx_str_t metrics_in;               // the file and line of api_key_metrics, for messages; empty: none
    // The values of WWW-Authenticate that this location may send, made when nginx.conf is read.
    ngx_str_t challenge_missing;
    ngx_str_t challenge_invalid;
    ngx_str_t challenge_scope;
};

inline const MainConf& main_conf(ngx_http_request_t* r) noexcept {
    return *static_cast<const MainConf*>(ngx_http_get_module_main_conf(r, ngx_http_api_key_module));
}

// The same while nginx.conf is read.
inline MainConf& main_conf(ngx_conf_t* cf) noexcept {
    return *static_cast<MainConf*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_api_key_module));
}

// The only way the request path gets at its configuration.
inline const LocationConf& location_conf(ngx_http_request_t* r) noexcept {
    return *static_cast<const LocationConf*>(ngx_http_get_module_loc_conf(r, ngx_http_api_key_module));
}

// directives.cpp
extern ngx_command_t directives[];
void* create_main_conf(ngx_conf_t* cf) noexcept;
char* init_main_conf(ngx_conf_t* cf, void* conf) noexcept;
void* create_location_conf(ngx_conf_t* cf) noexcept;
char* merge_location_conf(ngx_conf_t* cf, void* parent, void* child) noexcept;

}  // namespace apikey::ngx
