#include "ngx_module/usage_capture.hpp"

#include <array>

#include "core/usage/cost.hpp"
#include "core/utf8.hpp"
#include "ngx_module/clock.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/response_usage.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

using Scratch = std::array<char, usage::kMaxLabelBytes>;

std::string_view value_of(ngx_http_request_t* r, ngx_http_complex_value_t* value) noexcept {
    ngx_str_t text{};
    if (value == nullptr || ngx_http_complex_value(r, value, &text) != NGX_OK) return {};
    return view(text);
}

usage::Label label_of(std::string_view text, Scratch& scratch) noexcept {
    const std::string_view clean = clean_utf8(text, scratch);
    return {clean, usage::hash_of(clean)};
}

usage::Label endpoint_of(ngx_http_request_t* r, const LocationConf& conf, Scratch& scratch) noexcept {
    if (conf.endpoint_label.text.data() != nullptr) return conf.endpoint_label;
    return label_of(value_of(r, conf.usage_endpoint), scratch);
}

// A number that nginx.conf's variables name; nothing where they name none.
template <class Parse>
auto number_of(ngx_http_request_t* r, ngx_http_complex_value_t* value, Parse parse) noexcept -> decltype(parse({})) {
    const std::string_view text = value_of(r, value);
    if (text.empty()) return std::nullopt;
    const auto number = parse(text);
    if (!number) ++this_worker()->zone.counters().usage_bad_values;
    return number;
}

// What nginx.conf's variables say wins; where they say nothing, what the response says of itself.
void add_values(ngx_http_request_t* r, const LocationConf& conf, usage::Record& record, Scratch& scratch) noexcept {
    if (conf.model_label.text.data() != nullptr) {
        record.model = conf.model_label;
    } else if (const std::string_view model = value_of(r, conf.usage_model); !model.empty()) {
        record.model = label_of(model, scratch);
    }
    if (const auto tokens = number_of(r, conf.usage_tokens_in, usage::parse_tokens)) record.tokens_in = *tokens;
    if (const auto tokens = number_of(r, conf.usage_tokens_out, usage::parse_tokens)) record.tokens_out = *tokens;
    record.cost = number_of(r, conf.usage_cost, usage::parse_cost);
}

// Of a whole answer: nginx may have made a part of it (206) after its header had passed.
void add_response(const ngx_http_request_t* r, RequestCtx& ctx, usage::Record& record, Scratch& scratch) noexcept {
    if (ctx.response == nullptr || r->headers_out.status != NGX_HTTP_OK) return;
    const usage::LlmUsage* response = finish_response(ctx);
    if (response == nullptr) return;
    record.tokens_in = response->tokens().in;
    record.tokens_out = response->tokens().out;
    record.tokens_cached = response->tokens().cached;
    record.model = label_of(response->model(), scratch);
}

ngx_uint_t status_of(const ngx_http_request_t* r) noexcept {
    return r->err_status != 0 ? r->err_status : r->headers_out.status;
}

// As nginx logs it: no answer was begun, or it is an error.
bool is_success(const ngx_http_request_t* r) noexcept {
    const ngx_uint_t status = status_of(r);
    return status >= NGX_HTTP_CONTINUE && status < NGX_HTTP_BAD_REQUEST;
}

// The answer consists of its header alone.
bool has_no_body(const ngx_http_request_t* r) noexcept {
    const ngx_uint_t status = r->headers_out.status;
    return r->method == NGX_HTTP_HEAD || status == NGX_HTTP_NO_CONTENT || status == NGX_HTTP_NOT_MODIFIED ||
           r->headers_out.content_length_n == 0;
}

// With these buffers the client may see the end: nginx says so, or all bytes that the header announces have passed. A proxied
// answer's last buffer often comes by itself, when those bytes are sent already.
bool has_end(const ngx_http_request_t* r, RequestCtx& ctx, const ngx_chain_t* in) noexcept {
    for (; in != nullptr; in = in->next) {
        if (in->buf->last_buf != 0) return true;
        ctx.body_bytes += ngx_buf_size(in->buf);
    }
    const off_t announced = r->headers_out.content_length_n;
    return announced >= 0 && ctx.body_bytes >= announced;
}

usage::KeyUse use_of(const RequestCtx& ctx) noexcept {
    return {usage_hash(ctx.digest), ctx.facts.texts, ctx.facts.lengths.id, ctx.facts.lengths.user, unix_ms()};
}

void count_whole_request(ngx_http_request_t* r, RequestCtx& ctx, const LocationConf& conf) noexcept {
    usage::Record record{use_of(ctx)};
    Scratch endpoint;
    Scratch response_model;
    Scratch model;
    record.success = is_success(r);
    record.endpoint = endpoint_of(r, conf, endpoint);
    record.model = conf.no_model;
    add_response(r, ctx, record, response_model);
    if (conf.names_values) add_values(r, conf, record, model);
    this_worker()->usage.count(record);
}

}  // namespace

void record_usage(ngx_http_request_t* r, RequestCtx& ctx) noexcept {
    ctx.usage_captured = true;
    const LocationConf& conf = *ctx.judged_in;
    if (conf.usage == 0) return this_worker()->usage.touch(use_of(ctx));
    count_whole_request(r, ctx, conf);
}

void begin_capture(ngx_http_request_t* r, RequestCtx& ctx) noexcept {
    if (!is_verified(ctx)) return;
    if (has_no_body(r)) return capture_usage(r, ctx);
    const LocationConf& conf = *ctx.judged_in;
    if (conf.response_usage == static_cast<ngx_uint_t>(ResponseUsage::openai) && conf.usage != 0)
        begin_response(r, ctx);
    this_worker()->usage.slot().prefetch_row(usage_hash(ctx.digest));
}

void capture_body(ngx_http_request_t* r, RequestCtx& ctx, const ngx_chain_t* in) noexcept {
    if (ctx.usage_captured) return;
    if (ctx.response != nullptr) look_at_response(ctx, in);
    if (has_end(r, ctx, in) && is_verified(ctx)) record_usage(r, ctx);
}

}  // namespace apikey::ngx
