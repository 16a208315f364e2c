// A request to a content handler (api_key_export, api_key_import, api_key_manage), checked: method, identity, scopes, path and every
// parameter, before apikeyd is asked for anything. nginx skips the access phase for subrequests, so identity and scopes are judged here
// again.
//
//   content_question.hpp   what apikeyd is asked: read out of the request, written as ours
//   content_identity.hpp   for whom, and whether a browser was made to ask by somebody else
//   content_transfer.cpp   exports and imports
//   content_manage.cpp     keys
#pragma once

#include <optional>

#include "ngx_module/conf.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

struct ContentRequest {
    ngx_str_t head;      // of the request to apikeyd, with the empty line; in the request's pool
    ngx_str_t filename;  // under which the answer is to be saved; empty: none. Likewise
    bool has_body;       // the client's goes to apikeyd
    bool streams_body;   // as it comes; else when all of it is there, so that a slow client holds nothing of apikeyd
};

// What the content handler is to return, where the request is answered or refused by that.
using Answered = std::optional<ngx_int_t>;

// Fills `out`, or answers the request. May throw std::bad_alloc.
Answered check_export(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out);
Answered check_import(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out);
Answered check_manage(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out);

}  // namespace apikey::ngx
