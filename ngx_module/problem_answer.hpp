// What the content handlers answer by themselves: problem documents (RFC 9457) of other causes than keys.
#pragma once

#include <string_view>

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

struct ContentProblem {
    ngx_uint_t status;
    std::string_view code;
    std::string_view title;
};

// Answers with a problem document; what to return from a content handler. The body of the request, if any, is read and thrown away.
// `detail` must be UTF-8. May throw std::bad_alloc.
ngx_int_t send_problem(ngx_http_request_t* r, const ContentProblem& problem, std::string_view detail);

// Cache-Control: no-store and Vary: Authorization, where a content handler answers or refuses; once. False when there is no memory.
bool forbid_storing(ngx_http_request_t* r) noexcept;

// A header field more. `name` and `value` must outlive the request. Null when there is no memory, or no header (HTTP/0.9).
ngx_table_elt_t* add_header(ngx_http_request_t* r, std::string_view name, std::string_view value) noexcept;

// What stands in place of nginx's own page for this status where a content handler is; empty: nothing does. `status` becomes the one to
// answer with: apikeyd that cannot be reached is 503, not 502.
std::string_view page_for(ngx_uint_t& status) noexcept;

}  // namespace apikey::ngx
