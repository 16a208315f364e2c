// For whom a content handler acts.
#pragma once

#include "ngx_module/conf.hpp"
#include "ngx_module/content_question.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Fills the question's user and key, or refuses the request: nobody is known, or the key lacks a scope that is needed here.
Answered identify(ngx_http_request_t* r, const LocationConf& conf, const NeededScopes& needed, Question& question);

// Of a request that is to change something, and is identified: refuses what its sender may not have meant. That is early data, which
// somebody may send again (RFC 8470), and what a page of another site makes a browser send, where the browser adds the identity by itself
// (a cookie, a password, a certificate).
Answered refuse_unwanted(ngx_http_request_t* r, const LocationConf& conf);

}  // namespace apikey::ngx
