// api_key_export and api_key_import: checked here, answered by apikeyd.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

ngx_int_t export_handler(ngx_http_request_t* r) noexcept;
ngx_int_t import_handler(ngx_http_request_t* r) noexcept;

}  // namespace apikey::ngx
