#include "ngx_module/answer.hpp"

#include <new>
#include <type_traits>

#include "core/problem.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/problem_answer.hpp"
#include "ngx_module/send_text.hpp"
#include "ngx_module/usage_capture.hpp"

namespace apikey::ngx {

namespace {

ngx_http_output_header_filter_pt next_header_filter;
ngx_http_output_body_filter_pt next_body_filter;

const ngx_str_t* challenge_of(const LocationConf& conf, Verdict verdict, const ngx_str_t* for_scope) {
    switch (verdict) {
        case Verdict::missing: return &conf.challenge_missing;
        case Verdict::malformed:
        case Verdict::invalid:
        case Verdict::expired: return &conf.challenge_invalid;
        case Verdict::forbidden: return for_scope != nullptr ? for_scope : &conf.challenge_scope;
        case Verdict::valid:
        case Verdict::unavailable: break;
    }
    return nullptr;
}

// www_authenticate is set too, not only pushed: that is how nginx withdraws it when `satisfy any` lets a request in.
bool add_challenge(RequestCtx& ctx, const ngx_str_t& value) noexcept {
    if (ctx.challenge == nullptr) ctx.challenge = add_header(ctx.request, "WWW-Authenticate", {});
    if (ctx.challenge == nullptr) return false;
    ctx.challenge->hash = 1;
    ctx.challenge->value = value;
    ctx.request->headers_out.www_authenticate = ctx.challenge;
    return true;
}

bool add_retry_after(RequestCtx& ctx) noexcept {
    static constexpr std::string_view kSeconds = "1";
    static_assert(kRetryAfterSeconds == 1);
    if (ctx.retry_after == nullptr) ctx.retry_after = add_header(ctx.request, "Retry-After", {});
    if (ctx.retry_after == nullptr) return false;
    ctx.retry_after->value = borrowed(kSeconds);
    return true;
}

// The refusal is about to be sent by nginx itself, not by an error_page, and not overruled.
bool refusal_goes_out(const ngx_http_request_t* r, const RequestCtx* ctx) noexcept {
    return ctx != nullptr && ctx->refusal != 0 && r->headers_out.status == static_cast<ngx_uint_t>(ctx->refusal) &&
           r->uri_changes == ctx->refused_at;
}

// But not of one into the location where the request itself was checked, such as a slice of it.
void warn_of_subrequest(ngx_http_request_t* r) noexcept {
    static bool warned = false;  // once per worker
    const LocationConf& conf = location_conf(r);
    const RequestCtx* ctx = find_ctx(r);
    if (warned || !conf.enabled || (ctx != nullptr && ctx->judged_in == &conf)) return;
    warned = true;
    // Not the connection's log: nginx would add the request line, and a key may stand in its query.
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "api_key: a subrequest entered the protected location \"%V\"; nginx does not check subrequests, "
                  "so protect the location that makes them (said once per worker)",
                  &static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module))->name);
}

// The document in place of nginx's page, until it is sent. In the request's pool.
struct Replacement {
    std::string_view document;
};
static_assert(std::is_trivially_destructible_v<Replacement>, "freed with the pool, never destroyed");

// Where a content handler is, nginx's own pages of refusals are problem documents too. Nothing: this page stays.
std::string_view page_of_content(ngx_http_request_t* r) noexcept {
    if (location_conf(r).content == Content::none) return {};
    ngx_uint_t status = r->headers_out.status;
    const std::string_view document = page_for(status);
    if (document.empty()) return {};
    r->headers_out.status = status;
    r->err_status = status;
    return document;
}

bool replace_page(ngx_http_request_t* r, std::string_view document) noexcept {
    auto* replacement = static_cast<Replacement*>(ngx_palloc(r->pool, sizeof(Replacement)));
    if (replacement == nullptr) return false;
    new (replacement) Replacement{document};
    ngx_http_set_ctx(r, replacement, ngx_http_api_key_filter_module);
    set_body_header(r, kProblemMediaType, document.size());
    r->headers_out.charset = {0, nullptr};
    if (r->headers_out.content_length != nullptr) {
        r->headers_out.content_length->hash = 0;
        r->headers_out.content_length = nullptr;
    }
    return true;
}

// nginx answers with a page of its own, which tells of its status: out of the way of requests that are answered otherwise. False when
// there is no memory.
[[gnu::noinline]] bool change_page(ngx_http_request_t* r, const RequestCtx* ctx) noexcept {
    const std::string_view document = refusal_goes_out(r, ctx) ? problem_document(ctx->verdict) : page_of_content(r);
    if (!document.empty() && !replace_page(r, document)) return false;
    return location_conf(r).content == Content::none || forbid_storing(r);
}

// The document that takes the place of what comes; null: none does.
Replacement* replacement_of(ngx_http_request_t* r) noexcept {
    return static_cast<Replacement*>(ngx_http_get_module_ctx(r, ngx_http_api_key_filter_module));
}

ngx_int_t header_filter(ngx_http_request_t* r) noexcept {
    if (r != r->main) {
        warn_of_subrequest(r);
        return next_header_filter(r);
    }
    RequestCtx* ctx = find_ctx(r);
    if (r->err_status != 0 && !change_page(r, ctx)) return NGX_ERROR;
    if (ctx != nullptr) begin_capture(r, *ctx);
    return next_header_filter(r);
}

// nginx's page is in static memory: marking its buffers as sent leaves the page itself alone.
void discard(ngx_chain_t* in) noexcept {
    for (; in != nullptr; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
}

ngx_int_t send_replacement(ngx_http_request_t* r, std::string_view document, ngx_chain_t* in) noexcept {
    ngx_http_set_ctx(r, nullptr, ngx_http_api_key_filter_module);
    discard(in);
    ngx_chain_t* body = whole_body(r, document);
    return body != nullptr ? next_body_filter(r, body) : NGX_ERROR;
}

ngx_int_t body_filter(ngx_http_request_t* r, ngx_chain_t* in) noexcept {
    if (r != r->main || in == nullptr) return next_body_filter(r, in);
    if (RequestCtx* ctx = find_ctx(r); ctx != nullptr) capture_body(r, *ctx, in);
    if (r->err_status == 0) return next_body_filter(r, in);
    const Replacement* replacement = replacement_of(r);
    return replacement != nullptr ? send_replacement(r, replacement->document, in) : next_body_filter(r, in);
}

}  // namespace

ngx_int_t refuse(RequestCtx& ctx, const LocationConf& conf, const ngx_str_t* for_scope) noexcept {
    ngx_http_request_t* r = ctx.request;
    if (const ngx_str_t* challenge = challenge_of(conf, ctx.verdict, for_scope)) {
        if (!add_challenge(ctx, *challenge) && r->http_version >= NGX_HTTP_VERSION_10) return NGX_ERROR;
    } else if (ctx.verdict == Verdict::unavailable) {
        if (!add_retry_after(ctx) && r->http_version >= NGX_HTTP_VERSION_10) return NGX_ERROR;
    }
    ctx.refusal = http_status(ctx.verdict);
    ctx.refused_at = r->uri_changes;
    return ctx.refusal;
}

void withdraw_refusal(RequestCtx& ctx) noexcept {
    if (ctx.request->uri_changes != ctx.refused_at) return;
    ctx.refusal = 0;
    ctx.overruled = true;
    if (ctx.challenge != nullptr) ctx.challenge->hash = 0;
}

void install_answer_filters() noexcept {
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

}  // namespace apikey::ngx
