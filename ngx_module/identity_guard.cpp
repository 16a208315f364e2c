#include "ngx_module/identity_guard.hpp"

#include <cstring>
#include <string_view>

#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

// A location's setting of another module, which says by its table of directives where it keeps it: its first word there. Null: there is no
// such module, or nothing is set. nginx shows no other way: the structures are each module's own.
void* setting_of(ngx_conf_t* cf, void** loc_conf, std::string_view directive) {
    for (ngx_uint_t m = 0; cf->cycle->modules[m] != nullptr; ++m) {
        const ngx_module_t& module = *cf->cycle->modules[m];
        if (module.type != NGX_HTTP_MODULE || module.commands == nullptr) continue;
        for (const ngx_command_t* command = module.commands; command->name.len != 0; ++command) {
            if (view(command->name) != directive || command->conf != NGX_HTTP_LOC_CONF_OFFSET) continue;
            void* word = nullptr;
            std::memcpy(static_cast<void*>(&word),
                        static_cast<const char*>(loc_conf[module.ctx_index]) + command->offset, sizeof word);
            return word;
        }
    }
    return nullptr;
}

// It keeps a value, "off" among them.
bool asks_for_password(ngx_conf_t* cf, const GuardedIdentity& guarded) {
    const auto* realm = static_cast<const ngx_http_complex_value_t*>(setting_of(cf, guarded.loc_conf, "auth_basic"));
    return realm != nullptr && view(realm->value) != "off";
}

bool asks_for_certificate([[maybe_unused]] const GuardedIdentity& guarded) {
#if (NGX_HTTP_SSL)
    const auto* ssl = static_cast<const ngx_http_ssl_srv_conf_t*>(guarded.srv_conf[ngx_http_ssl_module.ctx_index]);
    constexpr ngx_uint_t kOn = 1;
    constexpr ngx_uint_t kOptional = 2;  // optional_no_ca takes certificates of anybody's making
    return ssl->verify == kOn || ssl->verify == kOptional;
#else
    return false;
#endif
}

// auth_request keeps a string, whose length comes first; allow and deny a list of addresses.
bool is_protected(ngx_conf_t* cf, const GuardedIdentity& guarded) {
    return guarded.conf->enabled != 0 || asks_for_password(cf, guarded) || asks_for_certificate(guarded) ||
           setting_of(cf, guarded.loc_conf, "auth_request") != nullptr ||
           setting_of(cf, guarded.loc_conf, "deny") != nullptr;
}

bool satisfies_any(const GuardedIdentity& guarded) {
    const auto& core = *static_cast<const ngx_http_core_loc_conf_t*>(guarded.loc_conf[ngx_http_core_module.ctx_index]);
    return core.satisfy == NGX_HTTP_SATISFY_ANY;
}

// What is wrong with it; null: nothing.
const char* mistake_of(ngx_conf_t* cf, const GuardedIdentity& guarded) {
    if (!is_protected(cf, guarded)) {
        return "says for whom clients act, but nothing here keeps them from being anybody; write auth_basic, "
               "auth_request, ssl_verify_client, allow and deny, or api_key beside it (\"allow all;\" where another "
               "module does)";
    }
    if (guarded.conf->names_remote_user && !asks_for_password(cf, guarded)) {
        return "names $remote_user, which is whatever the client says where no password is asked for; write auth_basic "
               "beside it";
    }
    if (satisfies_any(guarded)) {
        return "does not go with \"satisfy any\": who comes in by one rule would act for whom another one names; "
               "use two locations";
    }
    return nullptr;
}

}  // namespace

void guard_identity(ngx_conf_t* cf, const LocationConf& conf) {
    MainConf& main = main_conf(cf);
    if (main.guarded == nullptr) main.guarded = make_in_pool<std::vector<GuardedIdentity>>(cf->pool);
    const auto& context = *static_cast<ngx_http_conf_ctx_t*>(cf->ctx);
    main.guarded->push_back({context.loc_conf, context.srv_conf, &conf});
}

ngx_int_t check_guarded_identities(ngx_conf_t* cf) {
    const MainConf& main = main_conf(cf);
    if (main.guarded == nullptr) return NGX_OK;
    for (const GuardedIdentity& each : *main.guarded) {
        const char* mistake = mistake_of(cf, each);
        if (mistake == nullptr) continue;
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"api_key_user\" %s in %V", mistake, &each.conf->content_in);
        return NGX_ERROR;
    }
    return NGX_OK;
}

}  // namespace apikey::ngx
