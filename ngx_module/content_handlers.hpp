// api_key_export, api_key_import and api_key_manage: checked here, answered by apikeyd.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

ngx_int_t export_handler(ngx_http_request_t* r) noexcept;
ngx_int_t import_handler(ngx_http_request_t* r) noexcept;
ngx_int_t manage_handler(ngx_http_request_t* r) noexcept;

}  // namespace apikey::ngx
