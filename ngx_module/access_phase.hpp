// The decision: may this request pass, here and now?
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Access phase. NGX_DECLINED where no key is required, NGX_OK, NGX_AGAIN (parked), or the refusal's status.
ngx_int_t access_handler(ngx_http_request_t* r) noexcept;

// Preaccess phase, where `api_key_phase preaccess` moves the decision: before limit_req and limit_conn, outside of
// `satisfy`. NGX_DECLINED where the request may go on.
ngx_int_t preaccess_handler(ngx_http_request_t* r) noexcept;

// Precontent phase, where `satisfy any` is used, reached only by requests that passed: withdraws our refusal where another
// rule let it in.
ngx_int_t passed_handler(ngx_http_request_t* r) noexcept;

}  // namespace apikey::ngx
