#include "ngx_module/response_usage.hpp"

#include <new>
#include <optional>
#include <type_traits>

#include "ngx_module/ngx_text.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

using Format = usage::LlmUsage::Format;

static_assert(std::is_trivially_destructible_v<usage::LlmUsage>, "freed with the pool, never destroyed");

void count(ResponseSeen seen) noexcept {
    ++this_worker()->zone.counters().responses[static_cast<std::size_t>(seen)];
}

bool is_encoded(const ngx_http_request_t* r) noexcept {
    const ngx_table_elt_t* encoding = r->headers_out.content_encoding;
    return encoding != nullptr && encoding->hash != 0 && encoding->value.len != 0 &&
           !equal_ignoring_case(view(encoding->value), "identity");
}

// Of the media type, without its parameters.
std::optional<Format> format_of(const ngx_http_request_t* r) noexcept {
    std::string_view type = view(r->headers_out.content_type);
    type = type.substr(0, type.find_first_of("; \t"));
    if (equal_ignoring_case(type, "application/json")) return Format::json;
    if (equal_ignoring_case(type, "text/event-stream")) return Format::event_stream;
    return std::nullopt;
}

}  // namespace

void begin_response(ngx_http_request_t* r, RequestCtx& ctx) noexcept {
    if (ctx.response != nullptr || r->headers_out.status != NGX_HTTP_OK) return;
    if (is_encoded(r)) return count(ResponseSeen::encoded);
    const auto format = format_of(r);
    if (!format) return count(ResponseSeen::other_type);
    void* const memory = ngx_palloc(r->pool, sizeof(usage::LlmUsage));
    if (memory == nullptr) return;
    ctx.response = new (memory) usage::LlmUsage(*format);
    r->filter_need_in_memory = 1;
}

void look_at_response(RequestCtx& ctx, const ngx_chain_t* in) noexcept {
    for (; in != nullptr; in = in->next) {
        const ngx_buf_t* buffer = in->buf;
        if (!ngx_buf_in_memory(buffer)) continue;
        ctx.response->feed(
            {reinterpret_cast<const char*>(buffer->pos), static_cast<std::size_t>(buffer->last - buffer->pos)});
    }
}

const usage::LlmUsage* finish_response(RequestCtx& ctx) noexcept {
    ctx.response->end();
    switch (ctx.response->outcome()) {
        case usage::LlmUsage::Outcome::found: count(ResponseSeen::found); break;
        case usage::LlmUsage::Outcome::absent: count(ResponseSeen::absent); break;
        case usage::LlmUsage::Outcome::malformed: count(ResponseSeen::malformed); break;
    }
    return ctx.response;
}

}  // namespace apikey::ngx
