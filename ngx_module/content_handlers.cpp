#include "ngx_module/content_handlers.hpp"

#include "ngx_module/content_request.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/problem_answer.hpp"
#include "ngx_module/sidecar_upstream.hpp"

namespace apikey::ngx {

namespace {

using Check = Answered (*)(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out);

ngx_int_t handle(ngx_http_request_t* r, const char* what, Check check) noexcept {
    return guarded(r, what, [&]() -> ngx_int_t {
        const LocationConf& conf = location_conf(r);
        if (!forbid_storing(r)) return NGX_HTTP_INTERNAL_SERVER_ERROR;
        ContentRequest request{};
        if (const Answered answered = check(r, conf, request)) return *answered;
        if (!request.has_body) {
            if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) return rc;
        }
        return ask_sidecar(r, conf, request);
    });
}

}  // namespace

ngx_int_t export_handler(ngx_http_request_t* r) noexcept {
    return handle(r, "export", check_export);
}

ngx_int_t import_handler(ngx_http_request_t* r) noexcept {
    return handle(r, "import", check_import);
}

ngx_int_t manage_handler(ngx_http_request_t* r) noexcept {
    return handle(r, "manage", check_manage);
}

}  // namespace apikey::ngx
