#include "ngx_module/log_phase.hpp"

#include "ngx_module/usage_capture.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

ngx_int_t count_request(ngx_http_request_t* r) noexcept {
    if (r != r->main || this_worker() == nullptr) return NGX_OK;
    RequestCtx* ctx = find_ctx(r);
    if (ctx == nullptr || ctx->state == RequestCtx::State::parked) return NGX_OK;  // its client left before the verdict
    Counters& counters = this_worker()->zone.counters();
    ++counters.requests[static_cast<std::size_t>(ctx->verdict)];
    ++counters.cache_requests[static_cast<std::size_t>(ctx->cache_use)];
    capture_usage(r, *ctx);
    return NGX_OK;
}

}  // namespace apikey::ngx
