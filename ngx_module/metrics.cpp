#include "ngx_module/metrics.hpp"

#include "core/metrics.hpp"
#include "ngx_module/clock.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/send_text.hpp"

namespace apikey::ngx {

ngx_int_t metrics_handler(ngx_http_request_t* r) noexcept {
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) return NGX_HTTP_NOT_ALLOWED;
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) return rc;
    return guarded(r, "metrics", [&] {
        const ngx_shm_zone_t& zone = *main_conf(r).zone;
        ZoneFill fill = fill_of(zone);
        fill.now = unix_ms();
        return send_text(r, NGX_HTTP_OK, kMetricsMediaType,
                         view(copied_or_throw(r->pool, metrics_text(sum_counters(zone), fill))));
    });
}

}  // namespace apikey::ngx
