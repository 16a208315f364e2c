#include "ngx_module/problem_answer.hpp"

#include <string>

#include "core/problem.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/ngx_compat.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/send_text.hpp"

namespace apikey::ngx {

namespace {

// Written out, as those of core/problem.cpp.
constexpr std::string_view kForbidden =
    R"({"type":"urn:nginx-api-key:problem:forbidden","title":"Forbidden","status":403,"code":"forbidden",)"
    R"("detail":"Access to this is not allowed from here."})"
    "\n";
constexpr std::string_view kTooLarge =
    R"({"type":"urn:nginx-api-key:problem:too_large","title":"Too large","status":413,"code":"too_large",)"
    R"("detail":"The body is larger than nginx lets through (client_max_body_size). A file can be split by dates."})"
    "\n";
constexpr std::string_view kInternal =
    R"({"type":"urn:nginx-api-key:problem:internal_error","title":"Internal error","status":500,)"
    R"("code":"internal_error","detail":"Something went wrong here, not with the request. The error log tells more."})"
    "\n";
constexpr std::string_view kUnavailable =
    R"({"type":"urn:nginx-api-key:problem:service_unavailable","title":"Not available now","status":503,)"
    R"("code":"service_unavailable","detail":"The service that holds the data cannot be reached just now. )"
    R"(If it was to change something, look whether it has before you send it again."})"
    "\n";

bool has_header(ngx_http_request_t* r, std::string_view name) noexcept {
    for (ngx_list_part_t* part = &r->headers_out.headers.part; part != nullptr; part = part->next) {
        const auto* lines = static_cast<ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i)
            if (equal_ignoring_case(view(lines[i].key), name)) return true;
    }
    return false;
}

}  // namespace

ngx_table_elt_t* add_header(ngx_http_request_t* r, std::string_view name, std::string_view value) noexcept {
    if (r->headers_out.headers.part.elts == nullptr) return nullptr;  // HTTP/0.9 has no header list
    auto* line = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_out.headers));
    if (line == nullptr) return nullptr;
    line->hash = 1;
    line->key = borrowed(name);
    line->value = borrowed(value);
    line->lowcase_key = nullptr;
    end_header_line(line);
    return line;
}

bool forbid_storing(ngx_http_request_t* r) noexcept {
    if (r->http_version < NGX_HTTP_VERSION_10 || has_header(r, "Cache-Control")) return true;
    return add_header(r, "Cache-Control", "no-store") != nullptr && add_header(r, "Vary", "Authorization") != nullptr;
}

std::string_view page_for(ngx_uint_t& status) noexcept {
    switch (status) {
        case NGX_HTTP_FORBIDDEN: return kForbidden;
        case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE: return kTooLarge;
        case NGX_HTTP_INTERNAL_SERVER_ERROR: return kInternal;
        case NGX_HTTP_BAD_GATEWAY:
        case NGX_HTTP_GATEWAY_TIME_OUT:
        case NGX_HTTP_SERVICE_UNAVAILABLE: status = NGX_HTTP_SERVICE_UNAVAILABLE; return kUnavailable;
        default: return {};
    }
}

ngx_int_t send_problem(ngx_http_request_t* r, const ContentProblem& problem, std::string_view detail) {
    r->expect_tested = 1;  // a body that is not wanted is not asked for
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) return rc;
    const ngx_str_t text =
        copied_or_throw(r->pool, problem_text(static_cast<int>(problem.status), problem.code, problem.title, detail));
    return send_text(r, problem.status, kProblemMediaType, view(text));
}

}  // namespace apikey::ngx
