// The content handlers' way to apikeyd: an HTTP/1.1 request over its Unix socket, by nginx's upstream machinery. Answers are buffered, in
// memory and in a temporary file of at most kMostTempFile, so that a slow client does not hold the database; bodies of imports are
// passed on as they come. An answer that ends early ends the client's transfer as an error.
#pragma once

#include "ngx_module/conf.hpp"
#include "ngx_module/content_request.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

inline constexpr std::size_t kMostTempFile = std::size_t{8} * 1024 * 1024;

// What to return from a content handler. May throw std::bad_alloc.
ngx_int_t ask_sidecar(ngx_http_request_t* r, const LocationConf& conf, const ContentRequest& request);

// How a location of content handlers asks; in the configuration's pool. Throws std::bad_alloc.
ngx_http_upstream_conf_t* make_sidecar_upstream(ngx_conf_t* cf, ngx_http_upstream_srv_conf_t* peer, bool is_import);

}  // namespace apikey::ngx
