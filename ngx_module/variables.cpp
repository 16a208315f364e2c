#include "ngx_module/variables.hpp"

#include "ngx_module/ngx_text.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

namespace {

void set(ngx_http_variable_value_t* value, std::string_view text) noexcept {
    const ngx_str_t bytes = borrowed(text);
    value->data = bytes.data;
    value->len = static_cast<unsigned>(bytes.len) & 0x0fffffffU;
    value->valid = 1;
    value->no_cacheable = 0;
    value->not_found = 0;
}

template <std::string_view (PackedFacts::*text)() const noexcept>
ngx_int_t get_fact(ngx_http_request_t* r, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    const RequestCtx* ctx = find_ctx(r);
    set(value, ctx != nullptr && is_verified(*ctx) ? (ctx->facts.*text)() : std::string_view(""));
    return NGX_OK;
}

ngx_int_t get_status(ngx_http_request_t* r, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    const RequestCtx* ctx = find_ctx(r);
    const bool decided = ctx != nullptr && ctx->state != RequestCtx::State::parked;
    set(value, decided ? status_name(ctx->verdict) : std::string_view(""));
    return NGX_OK;
}

ngx_int_t get_cache(ngx_http_request_t* r, ngx_http_variable_value_t* value, uintptr_t) noexcept {
    const RequestCtx* ctx = find_ctx(r);
    set(value, cache_use_name(ctx != nullptr ? ctx->cache_use : CacheUse::none));
    return NGX_OK;
}

// A request's verdict can change on an internal redirect, so nothing is cached.
constexpr ngx_uint_t kFlags = NGX_HTTP_VAR_NOCACHEABLE;

ngx_http_variable_t variables[] = {
    {ngx_string("api_key_id"), nullptr, get_fact<&PackedFacts::id>, 0, kFlags, 0},
    {ngx_string("api_key_user"), nullptr, get_fact<&PackedFacts::user>, 0, kFlags, 0},
    {ngx_string("api_key_name"), nullptr, get_fact<&PackedFacts::name>, 0, kFlags, 0},
    {ngx_string("api_key_prefix"), nullptr, get_fact<&PackedFacts::prefix>, 0, kFlags, 0},
    {ngx_string("api_key_scopes"), nullptr, get_fact<&PackedFacts::scopes>, 0, kFlags, 0},
    {ngx_string("api_key_status"), nullptr, get_status, 0, kFlags, 0},
    {ngx_string("api_key_cache"), nullptr, get_cache, 0, kFlags, 0},
};

}  // namespace

ngx_int_t add_variables(ngx_conf_t* cf) noexcept {
    for (ngx_http_variable_t& each : variables) {
        ngx_http_variable_t* added = ngx_http_add_variable(cf, &each.name, each.flags);
        if (added == nullptr) return NGX_ERROR;
        added->get_handler = each.get_handler;
        added->data = each.data;
    }
    return NGX_OK;
}

}  // namespace apikey::ngx
