#include "ngx_module/content_question.hpp"

#include <algorithm>

#include "core/base64url.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "ngx_module/conf_words.hpp"

namespace apikey::ngx {

namespace {

constexpr ContentProblem kNotAllowed{NGX_HTTP_NOT_ALLOWED, "method_not_allowed", "Method not allowed"};

// Keys may stand in the query: these parameters are not ours.
std::vector<std::string_view> key_arguments(const LocationConf& conf) {
    std::vector<std::string_view> names;
    if (conf.sources == nullptr) return names;
    for (const Source& source : *conf.sources)
        if (source.place == Source::Place::argument) names.push_back(source.name);
    return names;
}

// charset=utf-8, or none.
bool is_utf8_charset(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::size_t end = std::min(parameters.find(';'), parameters.size());
        const std::string_view parameter = trimmed(parameters.substr(0, end));
        parameters.remove_prefix(std::min(end + 1, parameters.size()));
        constexpr std::string_view kName = "charset=";
        if (!equal_ignoring_case(parameter.substr(0, kName.size()), kName)) continue;
        const std::string_view charset = parameter.substr(kName.size());
        return equal_ignoring_case(charset, "utf-8") || equal_ignoring_case(charset, "\"utf-8\"");
    }
    return true;
}

void append_field(std::string& head, std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
}

// base64url; nothing where there is no value.
void append_text(std::string& head, std::string_view name, std::string_view value) {
    if (!value.empty()) append_field(head, name, to_base64url(value));
}

}  // namespace

std::optional<std::string_view> suffix_of(ngx_http_request_t* r) {
    const auto& core = *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
#if (NGX_PCRE)
    if (core.regex != nullptr) return std::string_view{};
#endif
    if (core.named != 0 || core.exact_match != 0) return std::string_view{};
    std::string_view base = view(core.name);
    std::string_view path = view(r->uri);
    if (!path.starts_with(base)) return std::string_view{};  // the request came here in another way
    const bool slash = base.ends_with('/');
    path.remove_prefix(base.size());
    if (path.empty()) return path;
    if (slash) return path;
    if (!path.starts_with('/') || path.size() == 1) return std::nullopt;
    return path.substr(1);
}

Result<QueryParameters> parameters_of(ngx_http_request_t* r, const LocationConf& conf) {
    return read_query(view(r->args), key_arguments(conf));
}

std::vector<std::string_view> fields_of(ngx_http_request_t* r, std::string_view name) {
    std::vector<std::string_view> values;
    for (ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr; part = part->next) {
        const auto* fields = static_cast<ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i)
            if (equal_ignoring_case(view(fields[i].key), name)) values.push_back(view(fields[i].value));
    }
    return values;
}

std::string_view field_of(ngx_http_request_t* r, std::string_view name) {
    const auto values = fields_of(r, name);
    return values.empty() ? std::string_view() : values.front();
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

bool is_encoded(ngx_http_request_t* r) {
    const std::string_view encoding = field_of(r, "Content-Encoding");
    return !encoding.empty() && !equal_ignoring_case(encoding, "identity");
}

std::string_view media_type_of(ngx_http_request_t* r) {
    if (r->headers_in.content_type == nullptr) return {};
    const std::string_view field = view(r->headers_in.content_type->value);
    const std::size_t end = std::min(field.find(';'), field.size());
    if (!is_utf8_charset(field.substr(std::min(end + 1, field.size())))) return {};
    return trimmed(field.substr(0, end));
}

std::optional<off_t> declared_length(ngx_http_request_t* r) {
    if (r->headers_in.content_length_n < 0 || r->headers_in.chunked != 0) return std::nullopt;
    return r->headers_in.content_length_n;
}

ngx_int_t no_such_path(ngx_http_request_t* r) {
    return send_problem(r, kNotFound, "There is nothing under this path.");
}

ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view allowed, std::string_view detail) {
    if (add_header(r, "Allow", allowed) == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return send_problem(r, kNotAllowed, detail);
}

ContentRequest write_request(ngx_http_request_t* r, const Question& question) {
    std::string head(question.method);
    head.append(" ").append(question.path);
    if (const std::string query = write_query(question.parameters); !query.empty()) head.append("?").append(query);
    head.append(" HTTP/1.1\r\n");
    append_field(head, "Host", "apikeyd");
    append_text(head, sidecar::kSecretField, main_conf(r).sidecar->secret);
    append_text(head, sidecar::kUserField, question.user);
    append_text(head, sidecar::kKeyField, question.key_id);
    if (question.changes_keys) append_text(head, sidecar::kKeyUserField, question.key_user);
    append_text(head, sidecar::kAddressField, question.address);
    append_text(head, sidecar::kIdempotencyField, question.idempotency_key);
    if (question.changes_keys) append_field(head, sidecar::kBoundField, std::to_string(main_conf(r).longest_cached));
    if (question.has_body) append_field(head, "Transfer-Encoding", "chunked");
    if (question.body_bytes) append_field(head, sidecar::kLengthField, std::to_string(*question.body_bytes));
    head.append("\r\n");
    ContentRequest request{copied_or_throw(r->pool, head), {0, nullptr}, question.has_body, question.streams_body};
    if (!question.filename.empty())
        request.filename = copied_or_throw(r->pool, "attachment; filename=\"" + question.filename + "\"");
    return request;
}

}  // namespace apikey::ngx
