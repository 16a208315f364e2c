// A request to api_key_export or api_key_import, checked: method, identity, scopes, path and every parameter, before apikeyd is asked for
// anything. nginx skips the access phase for subrequests, so identity and scopes are judged here again.
#pragma once

#include <optional>

#include "ngx_module/conf.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

struct ContentRequest {
    ngx_str_t head;      // of the request to apikeyd, with the empty line; in the request's pool
    ngx_str_t filename;  // under which the answer is to be saved; empty: none. Likewise
};

// What the content handler is to return, where the request is answered or refused by that.
using Answered = std::optional<ngx_int_t>;

// Fills `out`, or answers the request. May throw std::bad_alloc.
Answered check_export(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out);
Answered check_import(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out);

}  // namespace apikey::ngx
