#include "ngx_module/answer.hpp"

#include "core/problem.hpp"
#include "ngx_module/ngx_compat.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/usage_capture.hpp"

namespace apikey::ngx {

namespace {

ngx_http_output_header_filter_pt next_header_filter;
ngx_http_output_body_filter_pt next_body_filter;

const ngx_str_t* challenge_of(const LocationConf& conf, Verdict verdict) {
    switch (verdict) {
        case Verdict::missing: return &conf.challenge_missing;
        case Verdict::malformed:
        case Verdict::invalid:
        case Verdict::expired: return &conf.challenge_invalid;
        case Verdict::forbidden: return &conf.challenge_scope;
        case Verdict::valid:
        case Verdict::unavailable: break;
    }
    return nullptr;
}

ngx_table_elt_t* add_header(ngx_http_request_t* r, std::string_view name) noexcept {
    if (r->headers_out.headers.part.elts == nullptr) return nullptr;  // HTTP/0.9 has no header list
    auto* line = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_out.headers));
    if (line == nullptr) return nullptr;
    line->hash = 1;
    line->key = borrowed(name);
    line->value = {0, nullptr};
    line->lowcase_key = nullptr;
    end_header_line(line);
    return line;
}

// www_authenticate is set too, not only pushed: that is how nginx withdraws it when `satisfy any` lets a request in.
bool add_challenge(RequestCtx& ctx, const ngx_str_t& value) noexcept {
    if (ctx.challenge == nullptr) ctx.challenge = add_header(ctx.request, "WWW-Authenticate");
    if (ctx.challenge == nullptr) return false;
    ctx.challenge->hash = 1;
    ctx.challenge->value = value;
    ctx.request->headers_out.www_authenticate = ctx.challenge;
    return true;
}

bool add_retry_after(RequestCtx& ctx) noexcept {
    static constexpr std::string_view kSeconds = "1";
    static_assert(kRetryAfterSeconds == 1);
    if (ctx.retry_after == nullptr) ctx.retry_after = add_header(ctx.request, "Retry-After");
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

ngx_int_t header_filter(ngx_http_request_t* r) noexcept {
    if (r != r->main) {
        warn_of_subrequest(r);
        return next_header_filter(r);
    }
    RequestCtx* ctx = find_ctx(r);
    if (refusal_goes_out(r, ctx)) {
        const std::string_view document = problem_document(ctx->verdict);
        r->headers_out.content_type = borrowed(kProblemMediaType);
        r->headers_out.content_type_len = kProblemMediaType.size();
        r->headers_out.content_type_lowcase = nullptr;
        r->headers_out.charset = {0, nullptr};
        r->headers_out.content_length_n = static_cast<off_t>(document.size());
        if (r->headers_out.content_length != nullptr) {
            r->headers_out.content_length->hash = 0;
            r->headers_out.content_length = nullptr;
        }
        ctx->replace_body = true;
    }
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

ngx_int_t send_problem(ngx_http_request_t* r, RequestCtx& ctx, ngx_chain_t* in) noexcept {
    ctx.replace_body = false;
    discard(in);
    const std::string_view document = problem_document(ctx.verdict);
    auto* buffer = static_cast<ngx_buf_t*>(ngx_calloc_buf(r->pool));
    ngx_chain_t* out = ngx_alloc_chain_link(r->pool);
    if (buffer == nullptr || out == nullptr) return NGX_ERROR;
    const ngx_str_t bytes = borrowed(document);
    buffer->start = buffer->pos = bytes.data;
    buffer->end = buffer->last = bytes.data + bytes.len;
    buffer->memory = 1;
    buffer->last_buf = 1;
    buffer->last_in_chain = 1;
    out->buf = buffer;
    out->next = nullptr;
    return next_body_filter(r, out);
}

ngx_int_t body_filter(ngx_http_request_t* r, ngx_chain_t* in) noexcept {
    if (r != r->main || in == nullptr) return next_body_filter(r, in);
    if (RequestCtx* ctx = find_ctx(r); ctx != nullptr) {
        capture_body(r, *ctx, in);
        if (ctx->replace_body) return send_problem(r, *ctx, in);
    }
    return next_body_filter(r, in);
}

}  // namespace

ngx_int_t refuse(RequestCtx& ctx, const LocationConf& conf) noexcept {
    ngx_http_request_t* r = ctx.request;
    if (const ngx_str_t* challenge = challenge_of(conf, ctx.verdict)) {
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
