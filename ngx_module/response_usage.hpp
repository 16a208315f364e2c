// api_key_usage_response: looks at the body of a response as it passes (core/usage/llm_usage.hpp), and changes nothing.
#pragma once

#include "core/usage/llm_usage.hpp"
#include "ngx_module/ngx.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

// The header of a main request's response is about to be sent: is its body to be looked at?
void begin_response(ngx_http_request_t* r, RequestCtx& ctx) noexcept;

// A part of that body.
void look_at_response(RequestCtx& ctx, const ngx_chain_t* in) noexcept;

// The body has ended, or was cut off. What was found; null where it names no usage. Counts what became of it.
const usage::LlmUsage* finish_response(RequestCtx& ctx) noexcept;

}  // namespace apikey::ngx
