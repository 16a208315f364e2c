#include "ngx_module/request_ctx.hpp"

#include <limits>
#include <new>
#include <string>

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
    static_assert(kMaxFieldBytes <= std::numeric_limits<std::uint16_t>::max());
    const std::size_t bytes =
        facts.id.size() + facts.user.size() + facts.name.size() + facts.prefix.size() + facts.scopes.size();
    auto* const texts = static_cast<char*>(ngx_pnalloc(ctx.request->pool, bytes));
    if (texts == nullptr) return false;
    char* place = texts;
    const auto append = [&place](const std::string& text) {
        place += text.copy(place, text.size());
        return static_cast<std::uint16_t>(text.size());
    };
    ctx.facts.texts = texts;
    ctx.facts.lengths.id = append(facts.id);
    ctx.facts.lengths.user = append(facts.user);
    ctx.facts.lengths.name = append(facts.name);
    ctx.facts.lengths.prefix = append(facts.prefix);
    ctx.facts.lengths.scopes = append(facts.scopes);
    ctx.facts.expires = facts.expires;
    return true;
}

TextRoom text_room(const RequestCtx& ctx) noexcept {
    return {[](void* pool, std::size_t bytes) noexcept {
                return static_cast<char*>(ngx_pnalloc(static_cast<ngx_pool_t*>(pool), bytes));
            },
            ctx.request->pool};
}

}  // namespace apikey::ngx
