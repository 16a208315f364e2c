#include "ngx_module/content_handlers.hpp"

#include "ngx_module/content_request.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/problem_answer.hpp"
#include "ngx_module/sidecar_upstream.hpp"

namespace apikey::ngx {

ngx_int_t export_handler(ngx_http_request_t* r) noexcept {
    return guarded(r, "export", [&]() -> ngx_int_t {
        const LocationConf& conf = location_conf(r);
        if (!forbid_storing(r)) return NGX_HTTP_INTERNAL_SERVER_ERROR;
        ContentRequest request{};
        if (const Answered answered = check_export(r, conf, request)) return *answered;
        if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) return rc;
        return ask_sidecar(r, conf, request, BodyOf::none);
    });
}

ngx_int_t import_handler(ngx_http_request_t* r) noexcept {
    return guarded(r, "import", [&]() -> ngx_int_t {
        const LocationConf& conf = location_conf(r);
        if (!forbid_storing(r)) return NGX_HTTP_INTERNAL_SERVER_ERROR;
        ContentRequest request{};
        if (const Answered answered = check_import(r, conf, request)) return *answered;
        return ask_sidecar(r, conf, request, BodyOf::client);
    });
}

}  // namespace apikey::ngx
