// Log phase: one record per main request.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Counts the request under its last verdict; NGX_OK always.
ngx_int_t count_request(ngx_http_request_t* r) noexcept;

}  // namespace apikey::ngx
