#include "ngx_module/content_request.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base64url.hpp"
#include "core/byte_run.hpp"
#include "core/policy.hpp"
#include "core/transfer/queries.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "core/utf8.hpp"
#include "ngx_module/answer.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/problem_answer.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

namespace {

constexpr ContentProblem kBadParameter{NGX_HTTP_BAD_REQUEST, "invalid_parameter", "Invalid parameter"};
constexpr ContentProblem kNotFound{NGX_HTTP_NOT_FOUND, "not_found", "Not found"};
constexpr ContentProblem kNotAllowed{NGX_HTTP_NOT_ALLOWED, "method_not_allowed", "Method not allowed"};
constexpr ContentProblem kMediaType{NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                                    "Unsupported media type"};
constexpr ContentProblem kTooEarly{425, "too_early", "Too early"};
constexpr ContentProblem kOldHttp{505, "http_version_not_supported", "HTTP version not supported"};
constexpr ContentProblem kBadUser{NGX_HTTP_FORBIDDEN, "forbidden", "Forbidden"};

// What apikeyd is to be asked, in the order of its request.
struct Question {
    std::string_view method;
    std::string_view path;
    QueryParameters parameters;
    std::string user;
    std::string_view key_id;          // empty: no key was used
    std::optional<off_t> body_bytes;  // of an import, where the client says
    bool has_body = false;
    std::string filename;
};

// --- who asks ------------------------------------------------------------------------------------------------------------

ngx_int_t refuse_as(ngx_http_request_t* r, const LocationConf& conf, Verdict verdict) {
    RequestCtx* ctx = r == r->main ? find_or_make_ctx(r) : nullptr;
    if (ctx == nullptr) return verdict == Verdict::forbidden ? NGX_HTTP_FORBIDDEN : NGX_HTTP_UNAUTHORIZED;
    ctx->verdict = verdict;
    ctx->judged_in = &conf;
    return refuse(*ctx, conf);
}

// A key was verified for this request, or for the one that this is a subrequest of: it must have the scopes that are needed here.
Verdict judge_key(const RequestCtx* ctx, const LocationConf& conf) {
    if (ctx == nullptr || !is_verified(*ctx)) return Verdict::missing;
    return judge({ctx->facts.scopes(), ctx->facts.expires}, ngx_time(), *conf.required);
}

Answered identify(ngx_http_request_t* r, const LocationConf& conf, Question& question) {
    const RequestCtx* ctx = find_ctx(r);
    const Verdict verdict = judge_key(ctx, conf);
    if (verdict == Verdict::valid) question.key_id = ctx->facts.id();
    if (verdict != Verdict::valid && (verdict != Verdict::missing || conf.user == nullptr))
        return refuse_as(r, conf, verdict);
    if (conf.user == nullptr) {
        question.user = ctx->facts.user();
        return std::nullopt;
    }
    ngx_str_t user{};
    if (ngx_http_complex_value(r, conf.user, &user) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (user.len == 0) return refuse_as(r, conf, Verdict::missing);
    question.user = view(user);
    if (!has_control_byte(question.user) && is_utf8(question.user)) return std::nullopt;
    return send_problem(r, kBadUser,
                        "The identity that this site has established is no text without control characters.");
}

// --- what is asked for ---------------------------------------------------------------------------------------------------

// What of the path is behind the location's own; nothing: it is not one of its suffixes.
std::optional<std::string_view> suffix_of(ngx_http_request_t* r) {
    const auto& core = *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
#if (NGX_PCRE)
    if (core.regex != nullptr) return std::string_view{};
#endif
    if (core.named != 0 || core.exact_match != 0 || core.noname != 0) return std::string_view{};
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

ngx_int_t no_such_path(ngx_http_request_t* r) {
    return send_problem(r, kNotFound, "There is nothing under this path.");
}

// Keys may stand in the query (api_key_source arg:NAME): these parameters are not ours.
std::vector<std::string_view> key_arguments(const LocationConf& conf) {
    std::vector<std::string_view> names;
    if (conf.sources == nullptr) return names;
    for (const Source& source : *conf.sources)
        if (source.place == Source::Place::argument) names.push_back(source.name);
    return names;
}

Instant now() {
    return Instant(std::chrono::seconds(ngx_time()));
}

// Error: a parameter is wrong.
Result<bool> read_usage_export(Question& question) {
    const auto query = usage_export_query(question.parameters);
    if (!query) return Error{query.error()};
    question.path = sidecar::kExportUsage;
    question.filename = download_name(*query, now());
    return true;
}

Result<bool> read_usage_summary(Question& question) {
    const auto query = usage_summary_query(question.parameters);
    if (!query) return Error{query.error()};
    question.path = sidecar::kUsageSummary;
    return true;
}

Result<bool> read_conversations(Question& question) {
    const auto query = conversation_query(question.parameters);
    if (!query) return Error{query.error()};
    question.path = sidecar::kExportConversations;
    question.filename = download_name(*query, now());
    return true;
}

Result<bool> read_import(Question& question, Content content, TransferFormat format) {
    for (const QueryParameter& parameter : question.parameters)
        if (parameter.name == "format")
            return Error{"the parameter \"format\" is unknown here; Content-Type says what is sent"};
    if (const auto query = import_query(question.parameters); !query) return Error{query.error()};
    question.path = content == Content::import_usage ? sidecar::kImportUsage : sidecar::kImportConversations;
    question.parameters.push_back({"format", format == TransferFormat::csv ? "csv" : "json"});
    return true;
}

// --- the body of an import -----------------------------------------------------------------------------------------------

std::string_view field_of(ngx_http_request_t* r, std::string_view name) {
    for (ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr; part = part->next) {
        const auto* fields = static_cast<ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i)
            if (equal_ignoring_case(view(fields[i].key), name)) return view(fields[i].value);
    }
    return {};
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
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

// Nothing: a media type that is none of an export's.
std::optional<TransferFormat> format_of(ngx_http_request_t* r) {
    if (r->headers_in.content_type == nullptr) return std::nullopt;
    const std::string_view field = view(r->headers_in.content_type->value);
    const std::size_t end = std::min(field.find(';'), field.size());
    const std::string_view type = trimmed(field.substr(0, end));
    if (!is_utf8_charset(field.substr(std::min(end + 1, field.size())))) return std::nullopt;
    if (equal_ignoring_case(type, "application/json")) return TransferFormat::json;
    if (equal_ignoring_case(type, "text/csv")) return TransferFormat::csv;
    return std::nullopt;
}

bool is_encoded(ngx_http_request_t* r) {
    const std::string_view encoding = field_of(r, "Content-Encoding");
    return !encoding.empty() && !equal_ignoring_case(encoding, "identity");
}

// A request that an attacker may send again (RFC 8470).
bool is_early(ngx_http_request_t* r) {
#if (NGX_HTTP_SSL)
    if (r->connection->ssl == nullptr) return false;
    ngx_str_t early{};
    return ngx_ssl_get_early_data(r->connection, r->pool, &early) == NGX_OK && early.len != 0;
#else
    static_cast<void>(r);
    return false;
#endif
}

// --- the request to apikeyd ----------------------------------------------------------------------------------------------

void append_field(std::string& head, std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
}

ContentRequest write_request(ngx_http_request_t* r, const Question& question) {
    std::string head(question.method);
    head.append(" ").append(question.path);
    if (const std::string query = write_query(question.parameters); !query.empty()) head.append("?").append(query);
    head.append(" HTTP/1.1\r\n");
    append_field(head, "Host", "apikeyd");
    const std::string& secret = main_conf(r).sidecar->secret;
    if (!secret.empty()) append_field(head, sidecar::kSecretField, to_base64url(secret));
    append_field(head, sidecar::kUserField, to_base64url(question.user));
    if (!question.key_id.empty()) append_field(head, sidecar::kKeyField, to_base64url(question.key_id));
    if (question.has_body) append_field(head, "Transfer-Encoding", "chunked");
    if (question.body_bytes) append_field(head, sidecar::kLengthField, std::to_string(*question.body_bytes));
    head.append("\r\n");
    ContentRequest request{copied_or_throw(r->pool, head), {0, nullptr}};
    if (!question.filename.empty())
        request.filename = copied_or_throw(r->pool, "attachment; filename=\"" + question.filename + "\"");
    return request;
}

ngx_int_t not_allowed(ngx_http_request_t* r, std::string_view allowed, std::string_view detail) {
    if (add_header(r, "Allow", allowed) == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return send_problem(r, kNotAllowed, detail);
}

bool says_length(ngx_http_request_t* r) {
    return r->headers_in.content_length_n >= 0 && r->headers_in.chunked == 0;
}

// The parameters of the query, without a key's. Error: they cannot be read.
Result<QueryParameters> parameters_of(ngx_http_request_t* r, const LocationConf& conf) {
    return read_query(view(r->args), key_arguments(conf));
}

}  // namespace

Answered check_export(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out) {
    Question question;
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0)
        return not_allowed(r, "GET, HEAD", "Exports are read with GET.");
    question.method = r->method == NGX_HTTP_HEAD ? "HEAD" : "GET";
    if (const Answered answered = identify(r, conf, question)) return answered;
    const auto suffix = suffix_of(r);
    const bool summary = suffix && *suffix == "summary" && conf.content == Content::export_usage;
    if (!suffix || (!suffix->empty() && !summary)) return no_such_path(r);
    // HTTP/1.0 tells the end of an answer of unknown length by closing: a cut would look like a file that is whole.
    if (!summary && r->http_version < NGX_HTTP_VERSION_11)
        return send_problem(r, kOldHttp,
                            "Exports need HTTP/1.1 or newer, which can tell a whole file from a broken one.");
    auto parameters = parameters_of(r, conf);
    if (!parameters) return send_problem(r, kBadParameter, parameters.error());
    question.parameters = std::move(*parameters);
    const auto checked = summary                                 ? read_usage_summary(question)
                         : conf.content == Content::export_usage ? read_usage_export(question)
                                                                 : read_conversations(question);
    if (!checked) return send_problem(r, kBadParameter, checked.error());
    out = write_request(r, question);
    return std::nullopt;
}

Answered check_import(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out) {
    Question question;
    question.method = "POST";
    question.has_body = true;
    if (r->method != NGX_HTTP_POST) return not_allowed(r, "POST", "Imports are sent with POST.");
    if (is_early(r))
        return send_problem(r, kTooEarly,
                            "An import is not taken from early data, which may be sent again. Send it again.");
    if (const Answered answered = identify(r, conf, question)) return answered;
    const auto suffix = suffix_of(r);
    if (!suffix || !suffix->empty()) return no_such_path(r);
    if (is_encoded(r))
        return send_problem(r, kMediaType, "Imports are taken as they are: send the file without Content-Encoding.");
    const auto format = format_of(r);
    if (!format || (*format == TransferFormat::csv && conf.content != Content::import_usage)) {
        return send_problem(r, kMediaType,
                            conf.content == Content::import_usage
                                ? "Usage is imported as Content-Type text/csv or application/json, in UTF-8."
                                : "Conversations are imported as Content-Type application/json, in UTF-8.");
    }
    auto parameters = parameters_of(r, conf);
    if (!parameters) return send_problem(r, kBadParameter, parameters.error());
    question.parameters = std::move(*parameters);
    if (const auto checked = read_import(question, conf.content, *format); !checked)
        return send_problem(r, kBadParameter, checked.error());
    if (says_length(r)) question.body_bytes = r->headers_in.content_length_n;
    out = write_request(r, question);
    return std::nullopt;
}

}  // namespace apikey::ngx
