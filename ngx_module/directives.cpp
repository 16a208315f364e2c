// The directives in the order of their documentation (docs/directives.md, which a test holds against this table), how
// each is read, and what is inherited. A mistake ends at `nginx -t` with a message that says what to write instead.
#include "ngx_module/conf.hpp"

#include <algorithm>

#include "core/problem.hpp"
#include "core/redis/names.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/content_directives.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/location_directives.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/redis_conf.hpp"
#include "ngx_module/usage_directives.hpp"

namespace apikey::ngx {

namespace {

char* set_zone(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_zone", [&] { return declare_key_zone(cf, *static_cast<MainConf*>(conf)); });
}

char* set_redis(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_redis", [&] { return read_redis_directive(cf, *static_cast<MainConf*>(conf)); });
}

char* set_redis_prefix(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& main = *static_cast<MainConf*>(conf);
    if (main.redis_prefix.data != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_redis_prefix", [&]() -> char* {
        const std::string_view prefix = argument(cf, 1);
        if (prefix.empty() || prefix.size() > redis::kMaxPrefixBytes) {
            return wrong(cf, "api_key_redis_prefix takes 1 to 64 bytes, for example api_key_redis_prefix apikey:;");
        }
        if (!redis::has_prefix_bytes(prefix)) {
            return wrong(cf, "api_key_redis_prefix takes printable ASCII without spaces");
        }
        main.redis_prefix = copied_or_throw(cf->pool, prefix);
        return NGX_CONF_OK;
    });
}

char* set_sidecar(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_sidecar", [&] { return read_sidecar_directive(cf, *static_cast<MainConf*>(conf)); });
}

constexpr ngx_msec_t kDefaultUsageInterval = 1000;
constexpr ngx_uint_t kAnywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_HTTP_LMT_CONF;

}  // namespace

ngx_command_t directives[] = {
    {ngx_string("api_key_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_zone, NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_redis"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, set_redis, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_redis_prefix"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_redis_prefix,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_sidecar"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12, set_sidecar, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_usage_interval"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_usage_interval,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_spool"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_spool, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key"), kAnywhere | NGX_CONF_TAKE1, set_api_key, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_phase"), kAnywhere | NGX_CONF_TAKE1, set_phase, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_source"), kAnywhere | NGX_CONF_1MORE, set_source, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_cache"), kAnywhere | NGX_CONF_TAKE123, set_cache, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_checksum"), kAnywhere | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, checksum), nullptr},
    {ngx_string("api_key_require"), kAnywhere | NGX_CONF_1MORE, set_require, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_usage"), kAnywhere | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, usage), nullptr},
    {ngx_string("api_key_usage_endpoint"), kAnywhere | NGX_CONF_TAKE1, set_usage_value, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, usage_endpoint), nullptr},
    {ngx_string("api_key_usage_model"), kAnywhere | NGX_CONF_TAKE1, set_usage_value, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, usage_model), nullptr},
    {ngx_string("api_key_usage_tokens"), kAnywhere | NGX_CONF_TAKE12, set_usage_tokens, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_usage_cost"), kAnywhere | NGX_CONF_TAKE1, set_usage_cost, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_usage_response"), kAnywhere | NGX_CONF_TAKE1, set_usage_response, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_export"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_export, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_import"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_import, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_manage"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_manage, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_user"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_content_user, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_metrics"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_metrics, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    ngx_null_command};

void* create_main_conf(ngx_conf_t* cf) noexcept {
    return ngx_pcalloc(cf->pool, sizeof(MainConf));
}

char* init_main_conf(ngx_conf_t* cf, void* conf) noexcept {
    auto& main = *static_cast<MainConf*>(conf);
    if (main.usage_interval == 0) main.usage_interval = kDefaultUsageInterval;
    if (main.redis_prefix.data == nullptr) main.redis_prefix = borrowed(redis::kDefaultPrefix);
    return guarded(cf, "api_key", [&] {
        char* const result = finish_connections(cf, main);
        if (result == NGX_CONF_OK) tie_to_redis(main);
        return result;
    });
}

void* create_location_conf(ngx_conf_t* cf) noexcept {
    auto* conf = static_cast<LocationConf*>(ngx_pcalloc(cf->pool, sizeof(LocationConf)));
    if (conf == nullptr) return nullptr;
    conf->enabled = NGX_CONF_UNSET;
    conf->checksum = NGX_CONF_UNSET;
    conf->phase = NGX_CONF_UNSET_UINT;
    conf->usage = NGX_CONF_UNSET;
    conf->response_usage = NGX_CONF_UNSET_UINT;
    return conf;
}

namespace {

// Told to keep headers that are invalid to it, nginx keeps X_User_Id under a hash of its own making, by which the
// proxy_set_header lines of conf/api_key_params do not find it. Where underscores are valid they do.
void warn_of_kept_headers(ngx_conf_t* cf, MainConf& main) {
    const auto& server =
        *static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
    if (server.ignore_invalid_headers != 0 || server.underscores_in_headers != 0 || main.warned_of_headers) return;
    main.warned_of_headers = true;
    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"ignore_invalid_headers off\" lets a client's X_User_Id through conf/api_key_params; "
                       "write \"underscores_in_headers on;\" beside it");
}

// Not wrong(): that would name the line where the http block ends.
char* without_zone(ngx_conf_t* cf, const char* directive, const ngx_str_t& declared_in) {
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" needs a key zone; write \"api_key_zone keys:8m;\" in the http block in %V", directive,
                  &declared_in);
    return static_cast<char*>(NGX_CONF_ERROR);
}

// Merged already: nginx's core module comes before all others.
bool satisfies_any(ngx_conf_t* cf) noexcept {
    auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    return core->satisfy == NGX_HTTP_SATISFY_ANY;
}

char* finish_location(ngx_conf_t* cf, LocationConf& conf) {
    MainConf& main = main_conf(cf);
    main.used = true;
    if (conf.phase == NGX_HTTP_PREACCESS_PHASE) main.used_in_preaccess = true;
    if (satisfies_any(cf)) main.used_in_satisfy_any = true;
    warn_of_kept_headers(cf, main);
    if (main.zone == nullptr) return without_zone(cf, "api_key", conf.declared_in);
    static constexpr CacheTimes kDefaultTimes;
    if (conf.cache == nullptr) conf.cache = &kDefaultTimes;
    main.longest_cached = std::max(main.longest_cached, conf.cache->valid + conf.cache->stale);
    static const Scopes kNoScopes;
    const Scopes& required = conf.required != nullptr ? *conf.required : kNoScopes;
    const auto text = [&](Verdict verdict) {
        return copied_or_throw(cf->pool, challenge(view(conf.realm), verdict, required));
    };
    conf.challenge_missing = text(Verdict::missing);
    conf.challenge_invalid = text(Verdict::invalid);
    conf.challenge_scope = text(Verdict::forbidden);
    finish_usage(cf, conf);
    return NGX_CONF_OK;
}

}  // namespace

char* merge_location_conf(ngx_conf_t* cf, void* parent, void* child) noexcept {
    const auto& above = *static_cast<LocationConf*>(parent);
    auto& conf = *static_cast<LocationConf*>(child);
    if (conf.enabled == NGX_CONF_UNSET) {
        conf.enabled = above.enabled == NGX_CONF_UNSET ? 0 : above.enabled;
        conf.realm = above.realm;
        conf.declared_in = above.declared_in;
    }
    if (conf.sources == nullptr) conf.sources = above.sources;
    if (conf.written_scopes == nullptr) conf.written_scopes = above.written_scopes;
    conf.required = conf.written_scopes;
    ngx_conf_merge_value(conf.checksum, above.checksum, 0);
    ngx_conf_merge_uint_value(conf.phase, above.phase, NGX_HTTP_ACCESS_PHASE);
    if (conf.cache == nullptr) conf.cache = above.cache;
    inherit_usage(conf, above);
    const MainConf& main = main_conf(cf);
    if (conf.metrics_in.data != nullptr && main.zone == nullptr)
        return without_zone(cf, "api_key_metrics", conf.metrics_in);
    if (conf.user == nullptr) {
        conf.user = above.user;
        conf.names_remote_user = above.names_remote_user;
    }
    inherit_content(cf, conf, above);
    return guarded(cf, "api_key", [&]() -> char* {
        if (char* failed = finish_content(cf, conf); failed != NGX_CONF_OK) return failed;
        return conf.enabled == 0 ? NGX_CONF_OK : finish_location(cf, conf);
    });
}

}  // namespace apikey::ngx
