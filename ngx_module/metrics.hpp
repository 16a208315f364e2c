// api_key_metrics: the counters of all workers, for Prometheus.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Content handler of a location with `api_key_metrics`: GET and HEAD.
ngx_int_t metrics_handler(ngx_http_request_t* r) noexcept;

}  // namespace apikey::ngx
