#include "ngx_module/request_ctx.hpp"

#include <array>
#include <new>
#include <string_view>

#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

// Does nothing; its address is how a context is found among the pool's cleanups after a redirect.
void ctx_anchor(void*) noexcept {}

}  // namespace

RequestCtx* find_ctx(ngx_http_request_t* r) noexcept {
    r = r->main;
    auto* ctx = static_cast<RequestCtx*>(ngx_http_get_module_ctx(r, ngx_http_api_key_module));
    if (ctx != nullptr || (!r->internal && !r->filter_finalize)) return ctx;
    for (ngx_pool_cleanup_t* c = r->pool->cleanup; c != nullptr; c = c->next) {
        if (c->handler != ctx_anchor) continue;
        ctx = static_cast<RequestCtx*>(c->data);
        ngx_http_set_ctx(r, ctx, ngx_http_api_key_module);
        return ctx;
    }
    return nullptr;
}

RequestCtx* find_or_make_ctx(ngx_http_request_t* r) noexcept {
    if (RequestCtx* ctx = find_ctx(r)) return ctx;
    ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(r->pool, sizeof(RequestCtx));
    if (cleanup == nullptr) return nullptr;
    auto* ctx = new (cleanup->data) RequestCtx{};
    cleanup->handler = ctx_anchor;
    ctx->request = r;
    ngx_http_set_ctx(r, ctx, ngx_http_api_key_module);
    return ctx;
}

bool copy_facts(RequestCtx& ctx, const KeyFacts& facts) noexcept {
    const std::array<std::string_view, 5> texts{facts.id, facts.user, facts.name, facts.prefix, facts.scopes};
    const std::array<ngx_str_t*, 5> copies{&ctx.facts.id, &ctx.facts.user, &ctx.facts.name, &ctx.facts.prefix,
                                           &ctx.facts.scopes};
    std::size_t bytes = 0;
    for (const std::string_view text : texts)
        bytes += text.size();
    auto* place = static_cast<u_char*>(ngx_pnalloc(ctx.request->pool, bytes));
    if (place == nullptr) return false;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        *copies[i] = {texts[i].size(), place};
        place = ngx_cpymem(place, texts[i].data(), texts[i].size());
    }
    ctx.facts.expires = facts.expires;
    return true;
}

bool copy_facts(RequestCtx& ctx, const CachedKey& key) noexcept {
    const std::string_view texts = key.texts();
    auto* const copy = static_cast<u_char*>(ngx_pnalloc(ctx.request->pool, texts.size()));
    if (copy == nullptr) return false;
    ngx_memcpy(copy, texts.data(), texts.size());
    const auto in_copy = [&](std::string_view text) {
        return ngx_str_t{text.size(), copy + (text.data() - texts.data())};
    };
    ctx.facts = {in_copy(key.id),     in_copy(key.user),   in_copy(key.name),
                 in_copy(key.prefix), in_copy(key.scopes), key.expires};
    return true;
}

}  // namespace apikey::ngx
