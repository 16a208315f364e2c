// One record per main request that a verified key made: when the last bytes of its answer pass, before the client can have
// seen them, or, where none pass, in the log phase. docs/usage.md says what counts.
#pragma once

#include <cstring>

#include "ngx_module/ngx.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

// By what usage knows the key.
inline std::uint64_t usage_hash(const Digest& digest) noexcept {
    std::uint64_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof(hash));
    return hash;
}

// Records the request of a verified key.
void record_usage(ngx_http_request_t* r, RequestCtx& ctx) noexcept;
// The same, unless that was done already, or no verified key made it. Hot path.
inline void capture_usage(ngx_http_request_t* r, RequestCtx& ctx) noexcept {
    if (!ctx.usage_captured && is_verified(ctx)) record_usage(r, ctx);
}

// The filters' part, for main requests: the header is about to be sent (an answer without a body ends with it); buffers of
// the body are.
void begin_capture(ngx_http_request_t* r, RequestCtx& ctx) noexcept;
void capture_body(ngx_http_request_t* r, RequestCtx& ctx, const ngx_chain_t* in) noexcept;

}  // namespace apikey::ngx
