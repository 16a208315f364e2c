// What one request knows of its key: made by the access phase, read by variables, the answer and the log.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "core/digest.hpp"
#include "core/key_cache.hpp"
#include "core/redis/lookup_session.hpp"
#include "core/usage/llm_usage.hpp"
#include "core/verdict.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

struct Flight;

struct RequestCtx {
    enum class State : std::uint8_t {
        fresh,     // no key was looked up yet
        parked,    // waits for Redis
        resolved,  // `outcome` is what Redis said about `digest`
    };

    // Among the cleanups of the request's pool: after a redirect it is found there. It cleans nothing up.
    ngx_pool_cleanup_t anchor;
    ngx_http_request_t* request = nullptr;

    // The lookup: kept for the whole request, whatever locations it passes through.
    Digest digest;      // unless nothing was looked up yet
    PackedFacts facts;  // when found; their texts are in `usual_texts` or the request's pool
    State state = State::fresh;
    redis::LookupSession::Outcome outcome = redis::LookupSession::Outcome::unavailable;
    CacheUse cache_use = CacheUse::none;
    bool has_cleanup = false;  // the request tells the lookups when it goes
    bool reached = false;      // Redis answered, if not so that it can be believed

    // While parked (lookups.cpp, park.cpp).
    Flight* flight = nullptr;
    RequestCtx* next_waiting = nullptr;
    RequestCtx* previous_waiting = nullptr;
    ngx_int_t parked_at = 0;                  // r->phase_handler then
    const LocationConf* parked_in = nullptr;  // set until the phase that parked has gone on

    const LocationConf* judged_in = nullptr;  // the last protected location

    // Usage (usage_capture.cpp).
    usage::LlmUsage* response = nullptr;  // reads the body that passes; null: none does
    off_t body_bytes = 0;                 // that have passed

    // The refusal that nginx is to send, if any (answer.cpp).
    ngx_int_t refusal = 0;                   // its status, 0: none
    ngx_uint_t refused_at = 0;               // r->uri_changes then: a redirect changes it
    ngx_table_elt_t* challenge = nullptr;    // our WWW-Authenticate line
    ngx_table_elt_t* retry_after = nullptr;  // our Retry-After line

    // Small things last, so that all of this is made by few stores.
    Verdict verdict = Verdict::missing;  // of `judged_in`
    bool overruled = false;              // it refused, but another rule let the request in (`satisfy any`)
    bool usage_captured = false;
    std::array<char, 160> usual_texts;  // room for those of most keys: two ids of 36, a name, a prefix and some scopes
};

static_assert(std::is_trivially_destructible_v<RequestCtx>, "freed with the pool, never destroyed");

// Somebody's key was verified: it let the request in, or lacked a scope and the request was refused. Where another rule
// let the request in, the key's owner has no part in it: the key's rights were not enough here.
inline bool is_verified(const RequestCtx& ctx) noexcept {
    return ctx.verdict == Verdict::valid || (ctx.verdict == Verdict::forbidden && !ctx.overruled);
}

// The context of this request (of its main request, for a subrequest); null when no protected location was entered.
// nginx forgets contexts on internal redirects; this finds them again.
RequestCtx* find_ctx_after_redirect(ngx_http_request_t* main) noexcept;
inline RequestCtx* find_ctx(ngx_http_request_t* r) noexcept {
    r = r->main;
    auto* ctx = static_cast<RequestCtx*>(ngx_http_get_module_ctx(r, ngx_http_api_key_module));
    if (ctx != nullptr || (!r->internal && !r->filter_finalize)) return ctx;
    return find_ctx_after_redirect(r);
}

// The same, made if there is none; null when there is no memory. Main requests only.
RequestCtx* find_or_make_ctx(ngx_http_request_t* r) noexcept;

// Copies what Redis said; false when there is no memory.
bool copy_facts(RequestCtx& ctx, const KeyFacts& facts) noexcept;

char* more_text_room(void* pool, std::size_t bytes) noexcept;
// Where the texts of a key live until the log phase is over.
inline TextRoom text_room(RequestCtx& ctx) noexcept {
    return {ctx.usual_texts, more_text_room, ctx.request->pool};
}

}  // namespace apikey::ngx
