#include "ngx_module/metrics.hpp"

#include "core/metrics.hpp"
#include "ngx_module/clock.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

ngx_int_t send_text(ngx_http_request_t* r, std::string_view media_type, const std::string& text) {
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = borrowed(media_type);
    r->headers_out.content_type_len = media_type.size();
    r->headers_out.content_type_lowcase = nullptr;
    r->headers_out.content_length_n = static_cast<off_t>(text.size());
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only != 0) return rc;
    ngx_buf_t* buffer = ngx_create_temp_buf(r->pool, text.size());
    if (buffer == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    buffer->last = ngx_cpymem(buffer->last, text.data(), text.size());
    buffer->last_buf = r == r->main ? 1 : 0;
    buffer->last_in_chain = 1;
    ngx_chain_t chain{buffer, nullptr};
    return ngx_http_output_filter(r, &chain);
}

}  // namespace

ngx_int_t metrics_handler(ngx_http_request_t* r) noexcept {
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) return NGX_HTTP_NOT_ALLOWED;
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) return rc;
    return guarded(r, "metrics", [&] {
        const ngx_shm_zone_t& zone = *main_conf(r).zone;
        ZoneFill fill = fill_of(zone);
        fill.now = unix_ms();
        return send_text(r, kMetricsMediaType, metrics_text(sum_counters(zone), fill));
    });
}

}  // namespace apikey::ngx
