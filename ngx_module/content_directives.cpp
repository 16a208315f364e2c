#include "ngx_module/content_directives.hpp"

#include <algorithm>
#include <string>

#include "core/problem.hpp"
#include "ngx_module/compile_value.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/content_handlers.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/identity_guard.hpp"
#include "ngx_module/sidecar_upstream.hpp"

namespace apikey::ngx {

namespace {

// Where a location establishes the user by other means than keys, there is no realm of its own.
constexpr std::string_view kOwnRealm = "API";

const char* directive_of(Content content) noexcept {
    switch (content) {
        case Content::none: break;
        case Content::export_usage:
        case Content::export_conversations: return "api_key_export";
        case Content::import_usage:
        case Content::import_conversations: return "api_key_import";
        case Content::manage: return "api_key_manage";
    }
    return "";
}

bool is_import(Content content) noexcept {
    return content == Content::import_usage || content == Content::import_conversations;
}

std::string_view scope_of(Content content) noexcept {
    switch (content) {
        case Content::none:
        case Content::manage: return {};  // that depends on what is done
        case Content::export_usage: return "usage:read";
        case Content::export_conversations: return "conversations:read";
        case Content::import_usage: return "usage:write";
        case Content::import_conversations: return "conversations:write";
    }
    return {};
}

ngx_http_handler_pt handler_of(Content content) noexcept {
    switch (content) {
        case Content::none: break;
        case Content::export_usage:
        case Content::export_conversations: return export_handler;
        case Content::import_usage:
        case Content::import_conversations: return import_handler;
        case Content::manage: return manage_handler;
    }
    return nullptr;
}

ngx_http_core_loc_conf_t& core_conf(ngx_conf_t* cf) noexcept {
    return *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
}

char* set_content(ngx_conf_t* cf, LocationConf& location, Content content) {
    if (location.content != Content::none)
        return wrong(cf, std::string(directive_of(content)) + ": this location has " + directive_of(location.content) +
                             " already; use one location for each");
    location.content = content;
    location.content_in = this_line(cf);
    core_conf(cf).handler = handler_of(content);
    return NGX_CONF_OK;
}

char* set_transfer(ngx_conf_t* cf, LocationConf& location, const char* directive, Content usage,
                   Content conversations) {
    const std::string_view what = argument(cf, 1);
    if (what != "usage" && what != "conversations")
        return wrong(cf, "unknown word \"" + std::string(what) + "\" of " + directive + "; write " + directive +
                             " usage; or conversations;");
    return set_content(cf, location, what == "usage" ? usage : conversations);
}

char* without_identity(ngx_conf_t* cf, const LocationConf& conf) {
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" does not know for whom; write \"api_key realm;\" or \"api_key_user value;\" beside it in %V",
                  directive_of(conf.content), &conf.content_in);
    return static_cast<char*>(NGX_CONF_ERROR);
}

// Whether a value has this variable in it, however it is written: nginx keeps the indexes of all of them, with -1 at their end.
bool names_variable(ngx_conf_t* cf, const ngx_http_complex_value_t& value, std::string_view name) {
    ngx_str_t words = borrowed(name);
    const auto wanted = static_cast<ngx_uint_t>(ngx_http_get_variable_index(cf, &words));
    if (value.flushes == nullptr) return false;
    for (const ngx_uint_t* index = value.flushes; *index != static_cast<ngx_uint_t>(-1); ++index)
        if (*index == wanted) return true;
    return false;
}

// A list of its own. `scope`: empty: none more.
Scopes* with_scope(ngx_conf_t* cf, const Scopes* scopes, std::string_view scope) {
    auto* list = make_in_pool<Scopes>(cf->pool);
    if (scopes != nullptr) *list = *scopes;
    if (!scope.empty() && std::find(list->begin(), list->end(), scope) == list->end()) list->push_back(scope);
    return list;
}

const ManageScopes* make_manage_scopes(ngx_conf_t* cf, const LocationConf& conf) {
    const std::string_view realm = conf.enabled == 0 ? kOwnRealm : view(conf.realm);
    const auto with = [&](std::string_view scope) -> NeededScopes {
        const Scopes* scopes = with_scope(cf, conf.required, scope);
        const ngx_str_t text = copied_or_throw(cf->pool, challenge(realm, Verdict::forbidden, *scopes));
        return {scopes, make_in_pool<ngx_str_t>(cf->pool, text)};
    };
    return make_in_pool<ManageScopes>(cf->pool, ManageScopes{with({}), with("keys:read"), with("keys:write")});
}

}  // namespace

char* set_export(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_export", [&] {
        return set_transfer(cf, *static_cast<LocationConf*>(conf), "api_key_export", Content::export_usage,
                            Content::export_conversations);
    });
}

char* set_import(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_import", [&] {
        return set_transfer(cf, *static_cast<LocationConf*>(conf), "api_key_import", Content::import_usage,
                            Content::import_conversations);
    });
}

char* set_manage(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_manage",
                   [&] { return set_content(cf, *static_cast<LocationConf*>(conf), Content::manage); });
}

char* set_content_user(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.user != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_user", [&]() -> char* {
        if (argument(cf, 1).empty())
            return wrong(cf, "api_key_user takes who asks, for example api_key_user $remote_user;");
        location.user = compile_value(cf, 1);
        if (location.user == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
        location.names_remote_user = names_variable(cf, *location.user, "remote_user");
        return NGX_CONF_OK;
    });
}

void inherit_content(ngx_conf_t* cf, LocationConf& conf, const LocationConf& above) noexcept {
    ngx_http_core_loc_conf_t& core = core_conf(cf);
    if (core.noname == 0 || conf.content != Content::none) return;
    conf.content = above.content;
    conf.content_in = above.content_in;
    if (core.lmt_excpt != 0 && core.handler == nullptr) core.handler = handler_of(conf.content);
}

char* finish_content(ngx_conf_t* cf, LocationConf& conf) {
    if (conf.content == Content::none) return NGX_CONF_OK;
    if (conf.enabled == 0 && conf.user == nullptr) return without_identity(cf, conf);
    conf.required = with_scope(cf, conf.required, scope_of(conf.content));
    if (conf.content == Content::manage) conf.manage = make_manage_scopes(cf, conf);
    if (conf.user != nullptr) guard_identity(cf, conf);
    conf.sidecar = make_sidecar_upstream(cf, main_conf(cf).sidecar->peer->upstream(), is_import(conf.content));
    if (conf.enabled == 0) {
        conf.challenge_missing = copied_or_throw(cf->pool, challenge(kOwnRealm, Verdict::missing, {}));
        conf.challenge_scope = copied_or_throw(cf->pool, challenge(kOwnRealm, Verdict::forbidden, *conf.required));
    }
    return NGX_CONF_OK;
}

}  // namespace apikey::ngx
