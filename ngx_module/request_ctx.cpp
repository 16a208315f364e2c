#include "ngx_module/request_ctx.hpp"

#include <new>

namespace apikey::ngx {

namespace {

// Does nothing; its address is how a context is found among the pool's cleanups.
void ctx_anchor(void*) noexcept {}

}  // namespace

RequestCtx* find_ctx_after_redirect(ngx_http_request_t* main) noexcept {
    for (ngx_pool_cleanup_t* c = main->pool->cleanup; c != nullptr; c = c->next) {
        if (c->handler != ctx_anchor) continue;
        auto* ctx = static_cast<RequestCtx*>(c->data);
        ngx_http_set_ctx(main, ctx, ngx_http_api_key_module);
        return ctx;
    }
    return nullptr;
}

// One piece of memory, where ngx_pool_cleanup_add() would take two.
RequestCtx* find_or_make_ctx(ngx_http_request_t* r) noexcept {
    if (RequestCtx* ctx = find_ctx(r)) return ctx;
    void* const memory = ngx_palloc(r->pool, sizeof(RequestCtx));
    if (memory == nullptr) return nullptr;
    auto* ctx = new (memory) RequestCtx;
    ctx->anchor = {ctx_anchor, ctx, r->pool->cleanup};
    r->pool->cleanup = &ctx->anchor;
    ctx->request = r;
    ngx_http_set_ctx(r, ctx, ngx_http_api_key_module);
    return ctx;
}

char* more_text_room(void* pool, std::size_t bytes) noexcept {
    return static_cast<char*>(ngx_pnalloc(static_cast<ngx_pool_t*>(pool), bytes));
}

bool copy_facts(RequestCtx& ctx, const KeyFacts& facts) noexcept {
    char* const texts = text_room(ctx).take(text_bytes(facts));
    if (texts == nullptr) return false;
    ctx.facts = pack(facts, texts);
    return true;
}

}  // namespace apikey::ngx
