#include "ngx_module/access_phase.hpp"

#include "core/key_format.hpp"
#include "core/policy.hpp"
#include "ngx_module/answer.hpp"
#include "ngx_module/credentials.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/park.hpp"
#include "ngx_module/redis_link.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

namespace {

using Outcome = redis::LookupSession::Outcome;
using State = RequestCtx::State;

ngx_int_t settle(RequestCtx& ctx, const LocationConf& conf, Verdict verdict) {
    ctx.verdict = verdict;
    ctx.overruled = false;
    return verdict == Verdict::valid ? NGX_OK : refuse(ctx, conf);
}

// What Redis said, judged by the rules of this location.
Verdict judge_here(const RequestCtx& ctx, const LocationConf& conf) {
    switch (ctx.outcome) {
        case Outcome::unknown: return Verdict::invalid;
        case Outcome::unavailable: return Verdict::unavailable;
        case Outcome::found: break;
    }
    const KeyPolicy key{view(ctx.facts.scopes), ctx.facts.expires};
    if (conf.required == nullptr) return judge(key, ngx_time(), {});
    return judge(key, ngx_time(), *conf.required);
}

ngx_int_t ask_redis(RequestCtx& ctx, const LocationConf& conf, const Digest& digest) {
    ctx.digest = digest;
    ctx.verdict = Verdict::unavailable;  // until Redis has answered
    ctx.lookup = worker_link() != nullptr ? worker_link()->ask(digest, &ctx) : nullptr;
    if (ctx.lookup != nullptr) return park(ctx);
    ctx.state = State::resolved;
    ctx.outcome = Outcome::unavailable;
    return settle(ctx, conf, Verdict::unavailable);
}

ngx_int_t authenticate(ngx_http_request_t* r, const LocationConf& conf) {
    RequestCtx* ctx = find_or_make_ctx(r);
    if (ctx == nullptr) return NGX_ERROR;
    if (ctx->state == State::parked) return NGX_AGAIN;
    const Credentials presented = find_credentials(r, conf);
    if (presented.kind == Credentials::Kind::none) return settle(*ctx, conf, Verdict::missing);
    if (presented.kind == Credentials::Kind::malformed) return settle(*ctx, conf, Verdict::malformed);
    if (conf.checksum && !checksum_matches(presented.token)) return settle(*ctx, conf, Verdict::invalid);
    const auto digest = sha256(presented.token);
    if (!digest) return settle(*ctx, conf, Verdict::unavailable);
    if (ctx->state == State::resolved && equal(ctx->digest, *digest)) {
        return settle(*ctx, conf, judge_here(*ctx, conf));
    }
    return ask_redis(*ctx, conf, *digest);
}

void warn_of_subrequest(ngx_http_request_t* r) noexcept {
    static bool warned = false;  // once per worker
    if (warned) return;
    warned = true;
    // Not the connection's log: nginx would add the request line, and a key may stand in its query.
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "api_key: a subrequest entered the protected location \"%V\"; nginx does not check subrequests, "
                  "so protect the location that makes them (said once per worker)",
                  &static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module))->name);
}

}  // namespace

ngx_int_t access_handler(ngx_http_request_t* r) noexcept {
    const LocationConf& conf = location_conf(r);
    if (!conf.enabled) return NGX_DECLINED;
    return guarded(r, "access phase", [&] { return authenticate(r, conf); });
}

ngx_int_t passed_handler(ngx_http_request_t* r) noexcept {
    if (r != r->main) {
        if (location_conf(r).enabled) warn_of_subrequest(r);
        return NGX_DECLINED;
    }
    RequestCtx* ctx = find_ctx(r);
    if (ctx != nullptr && ctx->refusal != 0) withdraw_refusal(*ctx);
    return NGX_DECLINED;
}

}  // namespace apikey::ngx
