#include "ngx_module/request_ctx.hpp"

#include <new>

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
    ngx_pool_t* pool = ctx.request->pool;
    ctx.facts = {copied(pool, facts.id),     copied(pool, facts.user),   copied(pool, facts.name),
                 copied(pool, facts.prefix), copied(pool, facts.scopes), facts.expires};
    const RequestFacts& f = ctx.facts;
    return f.id.data != nullptr && f.user.data != nullptr && f.name.data != nullptr && f.prefix.data != nullptr &&
           f.scopes.data != nullptr;
}

}  // namespace apikey::ngx
