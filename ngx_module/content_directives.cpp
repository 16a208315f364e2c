#include "ngx_module/content_directives.hpp"

#include <algorithm>
#include <string>

#include "core/problem.hpp"
#include "ngx_module/compile_value.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/content_handlers.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/sidecar_upstream.hpp"

namespace apikey::ngx {

namespace {

// Where a location establishes the user by other means than keys, there is no realm of its own.
constexpr std::string_view kOwnRealm = "API";

bool is_import(Content content) noexcept {
    return content == Content::import_usage || content == Content::import_conversations;
}

std::string_view scope_of(Content content) noexcept {
    switch (content) {
        case Content::none: return {};
        case Content::export_usage: return "usage:read";
        case Content::export_conversations: return "conversations:read";
        case Content::import_usage: return "usage:write";
        case Content::import_conversations: return "conversations:write";
    }
    return {};
}

char* set_content(ngx_conf_t* cf, LocationConf& location, const char* directive, Content usage, Content conversations,
                  ngx_http_handler_pt handler) {
    if (location.content != Content::none)
        return wrong(cf, std::string(directive) +
                             ": this location has api_key_export or api_key_import already; use one location for each");
    const std::string_view what = argument(cf, 1);
    if (what != "usage" && what != "conversations")
        return wrong(cf, "unknown word \"" + std::string(what) + "\" of " + directive + "; write " + directive +
                             " usage; or conversations;");
    location.content = what == "usage" ? usage : conversations;
    location.content_in = this_line(cf);
    auto& core = *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    core.handler = handler;
    return NGX_CONF_OK;
}

char* without_identity(ngx_conf_t* cf, const LocationConf& conf) {
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" does not know for whom; write \"api_key realm;\" or \"api_key_user value;\" beside it in %V",
                  is_import(conf.content) ? "api_key_import" : "api_key_export", &conf.content_in);
    return static_cast<char*>(NGX_CONF_ERROR);
}

}  // namespace

char* set_export(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_export", [&] {
        return set_content(cf, *static_cast<LocationConf*>(conf), "api_key_export", Content::export_usage,
                           Content::export_conversations, export_handler);
    });
}

char* set_import(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_import", [&] {
        return set_content(cf, *static_cast<LocationConf*>(conf), "api_key_import", Content::import_usage,
                           Content::import_conversations, import_handler);
    });
}

char* set_content_user(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.user != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_user", [&]() -> char* {
        if (argument(cf, 1).empty())
            return wrong(cf, "api_key_user takes who asks, for example api_key_user $remote_user;");
        location.user = compile_value(cf, 1);
        return location.user != nullptr ? NGX_CONF_OK : static_cast<char*>(NGX_CONF_ERROR);
    });
}

char* finish_content(ngx_conf_t* cf, LocationConf& conf) {
    if (conf.content == Content::none) return NGX_CONF_OK;
    if (conf.enabled == 0 && conf.user == nullptr) return without_identity(cf, conf);
    auto* required = make_in_pool<Scopes>(cf->pool);
    if (conf.required != nullptr) *required = *conf.required;
    const std::string_view scope = scope_of(conf.content);
    if (std::find(required->begin(), required->end(), scope) == required->end()) required->push_back(scope);
    conf.required = required;
    conf.sidecar = make_sidecar_upstream(cf, main_conf(cf).sidecar->peer->upstream(), is_import(conf.content));
    if (conf.enabled == 0) {
        conf.challenge_missing = copied_or_throw(cf->pool, challenge(kOwnRealm, Verdict::missing, {}));
        conf.challenge_scope = copied_or_throw(cf->pool, challenge(kOwnRealm, Verdict::forbidden, *required));
    }
    return NGX_CONF_OK;
}

}  // namespace apikey::ngx
