// What apikeyd is asked for a client, as far as it is the same for all content handlers: read out of nginx's request, and written as a
// request of ours (core/transfer/sidecar_protocol.hpp). Nothing of the client's header is passed on as it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/transfer/query_string.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/content_request.hpp"
#include "ngx_module/ngx.hpp"
#include "ngx_module/problem_answer.hpp"

namespace apikey::ngx {

inline constexpr ContentProblem kBadParameter{NGX_HTTP_BAD_REQUEST, "invalid_parameter", "Invalid parameter"};
inline constexpr ContentProblem kNotFound{NGX_HTTP_NOT_FOUND, "not_found", "Not found"};
inline constexpr ContentProblem kMediaType{NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                                           "Unsupported media type"};

// In the order of the request that is made of it.
struct Question {
    std::string_view method;
    std::string_view path;
    QueryParameters parameters;
    std::string user;
    std::string_view key_id;      // empty: no key was used
    std::string_view key_user;    // whose it is
    std::string_view address;     // the client's; empty: it is not told
    std::string idempotency_key;  // empty: none
    bool changes_keys = false;    // then whose the key is goes along, and how long nginx may go by what it has cached
    std::optional<off_t> body_bytes;  // where the client says
    bool has_body = false;
    bool streams_body = false;  // it goes on as it comes; else when it is there
    std::string filename;
};

// All may throw std::bad_alloc.

// What of the path is behind the location's own, without its slash; nothing: it is not one of its suffixes.
std::optional<std::string_view> suffix_of(ngx_http_request_t* r);
// The parameters of the query, without a key's (api_key_source arg:NAME). Error: they cannot be read.
Result<QueryParameters> parameters_of(ngx_http_request_t* r, const LocationConf& conf);
// The values of a header field, in their order; views into the request.
std::vector<std::string_view> fields_of(ngx_http_request_t* r, std::string_view name);
// The first of them; empty: there is none.
std::string_view field_of(ngx_http_request_t* r, std::string_view name);
std::string_view trimmed(std::string_view text);

// A body that is compressed, say.
bool is_encoded(ngx_http_request_t* r);
// The media type of the body, without parameters; empty: none is given, or its charset is none that we take: UTF-8.
std::string_view media_type_of(ngx_http_request_t* r);
// How long the body is, where the client says.
std::optional<off_t> declared_length(ngx_http_request_t* r);

ngx_int_t no_such_path(ngx_http_request_t* r);
// 405. `allowed`: as in Allow; must outlive the request.
ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view allowed, std::string_view detail);

ContentRequest write_request(ngx_http_request_t* r, const Question& question);

}  // namespace apikey::ngx
