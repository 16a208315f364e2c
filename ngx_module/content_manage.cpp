// Requests to api_key_manage.
#include <algorithm>
#include <array>

#include "core/transfer/queries.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "core/uuid.hpp"
#include "ngx_module/content_identity.hpp"
#include "ngx_module/content_question.hpp"
#include "ngx_module/content_request.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr ContentProblem kBadField{NGX_HTTP_BAD_REQUEST, "invalid_header", "Invalid header field"};
constexpr ContentProblem kTooLarge{NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "too_large", "Too large"};
static_assert(sidecar::kMostKeyRequestBytes == 65536, "the message below says so");
constexpr std::size_t kMostIdempotencyBytes = 255;

enum class Place : std::uint8_t { all, one, rotation, changes, me, nowhere };

// Whom a request is about, by its path. `id`: of a key, whatever it looks like.
struct Target {
    Place place = Place::nowhere;
    std::string_view id;
};

Target target_of(ngx_http_request_t* r) {
    const auto suffix = suffix_of(r);
    if (!suffix) return {};
    if (suffix->empty()) return {Place::all, {}};
    if (*suffix == "audit") return {Place::changes, {}};
    if (*suffix == "me") return {Place::me, {}};
    constexpr std::string_view kRotate = "/rotate";
    const bool rotates = suffix->ends_with(kRotate);
    const std::string_view id = suffix->substr(0, suffix->size() - (rotates ? kRotate.size() : 0));
    if (id.empty() || id.find('/') != std::string_view::npos) return {};
    return {rotates ? Place::rotation : Place::one, id};
}

// One thing that can be done.
struct Operation {
    Place place;
    ngx_uint_t methods;     // NGX_HTTP_…, one or more of them
    std::string_view path;  // apikeyd's
    const NeededScopes ManageScopes::* needed;
    bool has_body;
    Result<PageQuery> (*page)(const QueryParameters&);  // null: there are no parameters

    [[nodiscard]] bool changes() const noexcept { return (methods & NGX_HTTP_GET) == 0; }
};

constexpr ngx_uint_t kReading = NGX_HTTP_GET | NGX_HTTP_HEAD;
constexpr std::array kOperations = {
    Operation{Place::all, kReading, sidecar::kKeys, &ManageScopes::read, false, key_page_query},
    Operation{Place::all, NGX_HTTP_POST, sidecar::kKeys, &ManageScopes::write, true, nullptr},
    Operation{Place::one, NGX_HTTP_PATCH, sidecar::kKey, &ManageScopes::write, true, nullptr},
    Operation{Place::one, NGX_HTTP_DELETE, sidecar::kKey, &ManageScopes::write, false, nullptr},
    Operation{Place::rotation, NGX_HTTP_POST, sidecar::kRotateKey, &ManageScopes::write, true, nullptr},
    Operation{Place::changes, kReading, sidecar::kKeyChanges, &ManageScopes::read, false, audit_page_query},
    Operation{Place::me, kReading, sidecar::kOwnKey, &ManageScopes::any, false, nullptr},
};

ngx_int_t refuse_method(ngx_http_request_t* r, Place place) {
    switch (place) {
        case Place::all: return not_allowed(r, "GET, HEAD, POST", "Keys are listed with GET and made with POST.");
        case Place::one: return not_allowed(r, "PATCH, DELETE", "A key is renamed with PATCH and revoked with DELETE.");
        case Place::rotation: return not_allowed(r, "POST", "A key is rotated with POST.");
        default: return not_allowed(r, "GET, HEAD", "This is read with GET.");
    }
}

bool may_have_body(ngx_http_request_t* r) {
    return r->headers_in.content_length_n > 0 || r->headers_in.chunked != 0;
}

// Taken as it is; of RFC draft-ietf-httpapi-idempotency-key-header, where it is a quoted text.
bool is_idempotency_key(std::string_view text) {
    return !text.empty() && text.size() <= kMostIdempotencyBytes &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Nothing: all is well.
Answered read_body_fields(ngx_http_request_t* r, Question& question) {
    if (is_encoded(r)) return send_problem(r, kMediaType, "The body is taken as it is, without Content-Encoding.");
    if (may_have_body(r) && !equal_ignoring_case(media_type_of(r), "application/json"))
        return send_problem(r, kMediaType, "The body must be Content-Type application/json, in UTF-8.");
    question.body_bytes = declared_length(r);
    if (question.body_bytes.value_or(0) > static_cast<off_t>(sidecar::kMostKeyRequestBytes))
        return send_problem(r, kTooLarge, "The body of a request about keys has at most 65536 bytes.");
    const auto keys = fields_of(r, "Idempotency-Key");
    if (keys.empty() || r->method != NGX_HTTP_POST) return std::nullopt;
    if (keys.size() > 1 || !is_idempotency_key(keys.front()))
        return send_problem(r, kBadField,
                            "Idempotency-Key must be given once, with 1 to 255 printable characters of ASCII.");
    question.idempotency_key = keys.front();
    return std::nullopt;
}

Result<bool> read_parameters(ngx_http_request_t* r, const LocationConf& conf, const Operation& operation,
                             Question& question) {
    auto parameters = parameters_of(r, conf);
    if (!parameters) return Error{parameters.error()};
    if (operation.page != nullptr) {
        if (const auto page = operation.page(*parameters); !page) return Error{page.error()};
    } else if (!parameters->empty()) {
        return Error{"the parameter " + quoted_for_message(parameters->front().name) +
                     " is unknown here; there are none"};
    }
    question.parameters = std::move(*parameters);
    return true;
}

}  // namespace

Answered check_manage(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out) {
    const Target target = target_of(r);
    const auto* operation = std::find_if(kOperations.begin(), kOperations.end(), [&](const Operation& each) {
        return each.place == target.place && (each.methods & r->method) != 0;
    });
    const bool is_none = operation == kOperations.end();
    if (is_none && target.place != Place::nowhere) return refuse_method(r, target.place);
    Question question;
    const NeededScopes& needed = is_none ? conf.manage->any : conf.manage->*operation->needed;
    if (const Answered answered = identify(r, conf, needed, question)) return answered;
    if (is_none) return no_such_path(r);
    if (operation->changes()) {
        if (const Answered answered = refuse_unwanted(r, conf)) return answered;
    }
    if (!target.id.empty() && !is_uuid(target.id)) return send_problem(r, kNotFound, sidecar::kNoSuchKey);
    question.method = view(r->method_name);
    question.path = operation->path;
    question.has_body = operation->has_body;
    if (operation->has_body) {
        if (const Answered answered = read_body_fields(r, question)) return answered;
    }
    if (const auto read = read_parameters(r, conf, *operation, question); !read)
        return send_problem(r, kBadParameter, read.error());
    if (!target.id.empty()) question.parameters.push_back({"id", std::string(target.id)});
    question.address = view(r->connection->addr_text);
    question.changes_keys = operation->changes();
    out = write_request(r, question);
    return std::nullopt;
}

}  // namespace apikey::ngx
