// Answers whose whole text is there: what of them is the same wherever they come from.
#pragma once

#include <string_view>

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Content-Type and Content-Length of a body of `bytes`. `media_type` must outlive the request.
void set_body_header(ngx_http_request_t* r, std::string_view media_type, std::size_t bytes) noexcept;

// All of a body, in memory that outlives the request. Null: no memory.
ngx_chain_t* whole_body(ngx_http_request_t* r, std::string_view text) noexcept;

// The answer to `r`: what to return from a content handler. `media_type` and `text` must outlive the request.
ngx_int_t send_text(ngx_http_request_t* r, ngx_uint_t status, std::string_view media_type,
                    std::string_view text) noexcept;

}  // namespace apikey::ngx
