// Where a request carries its key (api_key_source).
#pragma once

#include "core/bearer.hpp"
#include "ngx_module/conf.hpp"

namespace apikey::ngx {

// The key that the first present place of the location's sources holds. The token is a view into the request's own
// memory, or into its pool where an argument had to be decoded. A header or argument that is there twice is malformed:
// which one is meant cannot be known.
Credentials find_credentials(ngx_http_request_t* r, const LocationConf& conf) noexcept;

}  // namespace apikey::ngx
