// Where a request carries its key (api_key_source).
#pragma once

#include "core/bearer.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

// The key that the first present place of the location's sources holds. The token is a view into the request's own
// memory, or into its pool where an argument had to be decoded. A header or argument that is there twice is malformed:
// which one is meant cannot be known.
Credentials find_in_sources(ngx_http_request_t* r, const Sources& sources) noexcept;
inline Credentials from_authorization(ngx_http_request_t* r) noexcept {
    if (r->headers_in.authorization == nullptr) return {};
    return parse_authorization(view(r->headers_in.authorization->value));
}
inline Credentials find_credentials(ngx_http_request_t* r, const LocationConf& conf) noexcept {
    return conf.sources == nullptr ? from_authorization(r) : find_in_sources(r, *conf.sources);
}

}  // namespace apikey::ngx
