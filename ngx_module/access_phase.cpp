#include "ngx_module/access_phase.hpp"

#include <span>
#include <utility>

#include "core/freshness.hpp"
#include "core/key_format.hpp"
#include "core/policy.hpp"
#include "ngx_module/answer.hpp"
#include "ngx_module/clock.hpp"
#include "ngx_module/credentials.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/park.hpp"
#include "ngx_module/request_ctx.hpp"
#include "ngx_module/usage_capture.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

using Outcome = redis::LookupSession::Outcome;
using State = RequestCtx::State;

ngx_int_t settle(RequestCtx& ctx, const LocationConf& conf, Verdict verdict) {
    ctx.verdict = verdict;
    ctx.judged_in = &conf;
    ctx.overruled = false;
    return verdict == Verdict::valid ? NGX_OK : refuse(ctx, conf);
}

// Not in the way of locations that require no scope.
[[gnu::noinline]] Verdict judge_with_scopes(const RequestCtx& ctx, const Scopes& required) {
    return judge({ctx.facts.scopes(), ctx.facts.expires}, ngx_time(), required);
}

// What is known of the key, judged by the rules of this location.
inline Verdict judge_here(const RequestCtx& ctx, const LocationConf& conf) {
    if (ctx.outcome != Outcome::found) return ctx.outcome == Outcome::unknown ? Verdict::invalid : Verdict::unavailable;
    if (conf.required != nullptr) return judge_with_scopes(ctx, *conf.required);
    return judge({{}, ctx.facts.expires}, ngx_time(), {});
}

void resolve(RequestCtx& ctx, Outcome outcome, CacheUse use) {
    ctx.state = State::resolved;
    ctx.outcome = outcome;
    ctx.cache_use = use;
}

void resolve_from_cache(RequestCtx& ctx, const CachedKey& key, CacheUse use) {
    ctx.facts = key.facts();
    resolve(ctx, Outcome::found, use);
}

std::int64_t age_of(const CachedKey& key) {
    return static_cast<std::int64_t>(ngx_current_msec) - key.says.validated_at;
}

// The hot path: nothing in here allocates (but from the request's pool), locks or calls the system.
bool ask_cache(Worker& worker, RequestCtx& ctx, const CacheTimes& times) {
    CachedKey key;
    worker.usage.slot().prefetch_index(usage_hash(ctx.digest));
    switch (worker.zone.cache().find(ctx.digest, turn_began_seconds(), text_room(ctx), key)) {
        case KeyCache::Found::nothing: return false;
        case KeyCache::Found::unknown:
            if (!use_at_once(age_of(key), times.invalid, ctx.digest, worker.watched_since(key.says.validated_at)))
                return false;
            resolve(ctx, Outcome::unknown, CacheUse::negative);
            return true;
        case KeyCache::Found::known: break;
    }
    if (!use_at_once(age_of(key), times.valid, ctx.digest, worker.watched_since(key.says.validated_at))) return false;
    worker.usage.slot().prefetch_key(usage_hash(ctx.digest));
    resolve_from_cache(ctx, key, CacheUse::hit);
    return true;
}

// Redis was asked in vain: what the cache still says may do for a while. It is looked at anew, because the key may have
// changed meanwhile.
void fall_back_on_cache(Worker& worker, RequestCtx& ctx, const CacheTimes& times) {
    CachedKey key;
    const auto found = worker.zone.cache().find(ctx.digest, turn_began_seconds(), text_room(ctx), key);
    if (found != KeyCache::Found::known) return;
    switch (fall_back(age_of(key), times, ctx.reached)) {
        case Fallback::no: return;
        case Fallback::fresh: return resolve_from_cache(ctx, key, CacheUse::hit);
        case Fallback::stale: return resolve_from_cache(ctx, key, CacheUse::stale);
    }
}

ngx_int_t settle_asked(Worker& worker, RequestCtx& ctx, const LocationConf& conf) {
    if (ctx.outcome == Outcome::unavailable) fall_back_on_cache(worker, ctx, *conf.cache);
    return settle(ctx, conf, judge_here(ctx, conf));
}

ngx_int_t ask_redis(Worker& worker, RequestCtx& ctx, const LocationConf& conf) {
    ctx.verdict = Verdict::unavailable;  // until Redis has answered
    ctx.cache_use = CacheUse::miss;
    if (worker.lookups.ask(ctx, *conf.cache)) return park(ctx);
    ctx.reached = false;
    resolve(ctx, Outcome::unavailable, CacheUse::miss);
    return settle_asked(worker, ctx, conf);
}

// A key whose checksum is wrong is nobody's.
Verdict without_checksum(std::string_view token) {
    return is_token68(token) ? Verdict::invalid : Verdict::malformed;
}

ngx_int_t decide(Worker& worker, RequestCtx& ctx, const LocationConf& conf) {
    const Credentials presented = find_credentials(ctx.request, conf);
    if (presented.kind == Credentials::Kind::none) return settle(ctx, conf, Verdict::missing);
    if (presented.kind == Credentials::Kind::malformed) return settle(ctx, conf, Verdict::malformed);
    if (conf.checksum && !checksum_matches(presented.token))
        return settle(ctx, conf, without_checksum(presented.token));
    Digest digest;
    if (!sha256(presented.token, digest)) return settle(ctx, conf, Verdict::unavailable);
    if (ctx.state == State::resolved && equal(ctx.digest, digest)) return settle(ctx, conf, judge_here(ctx, conf));
    // What was found before was another key's.
    ctx.state = State::fresh;
    ctx.digest = digest;
    if (ask_cache(worker, ctx, *conf.cache)) return settle(ctx, conf, judge_here(ctx, conf));
    // Not before: what the cache knows was once asked for here, and so is token68.
    if (!is_token68(presented.token)) return settle(ctx, conf, Verdict::malformed);
    return ask_redis(worker, ctx, conf);
}

// NGX_OK, NGX_AGAIN (parked), or the refusal's status.
ngx_int_t authenticate(ngx_http_request_t* r, const LocationConf& conf) {
    Worker* worker = this_worker();
    RequestCtx* ctx = find_or_make_ctx(r);
    if (ctx == nullptr || worker == nullptr) return NGX_ERROR;
    if (ctx->state == State::parked) return NGX_AGAIN;
    if (std::exchange(ctx->parked_in, nullptr) == &conf) return settle_asked(*worker, *ctx, conf);  // resumed
    return decide(*worker, *ctx, conf);
}

}  // namespace

ngx_int_t access_handler(ngx_http_request_t* r) noexcept {
    const LocationConf& conf = location_conf(r);
    if (!conf.enabled || conf.phase != NGX_HTTP_ACCESS_PHASE) return NGX_DECLINED;
    return guarded(r, "access phase", [&] { return authenticate(r, conf); });
}

ngx_int_t preaccess_handler(ngx_http_request_t* r) noexcept {
    const LocationConf& conf = location_conf(r);
    if (!conf.enabled || conf.phase != NGX_HTTP_PREACCESS_PHASE || r != r->main) return NGX_DECLINED;
    const ngx_int_t rc = guarded(r, "preaccess phase", [&] { return authenticate(r, conf); });
    return rc == NGX_OK ? NGX_DECLINED : rc;  // NGX_OK would skip limit_req
}

ngx_int_t passed_handler(ngx_http_request_t* r) noexcept {
    RequestCtx* ctx = r == r->main ? find_ctx(r) : nullptr;
    if (ctx != nullptr && ctx->refusal != 0) withdraw_refusal(*ctx);
    return NGX_DECLINED;
}

}  // namespace apikey::ngx
