// Requests to api_key_export and api_key_import.
#include <chrono>

#include "core/transfer/queries.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "ngx_module/content_identity.hpp"
#include "ngx_module/content_question.hpp"
#include "ngx_module/content_request.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr ContentProblem kOldHttp{505, "http_version_not_supported", "HTTP version not supported"};

NeededScopes needed(const LocationConf& conf) {
    return {conf.required, &conf.challenge_scope};
}

Instant now() {
    return Instant(std::chrono::seconds(ngx_time()));
}

// Reads the parameters, and says which of apikeyd's paths is meant. Error: a parameter is wrong.
using Reader = Result<bool> (*)(Question& question);

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

Result<bool> read_conversation_list(Question& question) {
    const auto query = conversation_list_query(question.parameters);
    if (!query) return Error{query.error()};
    question.path = sidecar::kConversationList;
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

Reader reader_of(Content content, bool summary) {
    if (content == Content::export_usage) return summary ? read_usage_summary : read_usage_export;
    return summary ? read_conversation_list : read_conversations;
}

// Nothing: a media type that is none of an export's.
std::optional<TransferFormat> format_of(ngx_http_request_t* r) {
    const std::string_view type = media_type_of(r);
    if (equal_ignoring_case(type, "application/json")) return TransferFormat::json;
    if (equal_ignoring_case(type, "text/csv")) return TransferFormat::csv;
    return std::nullopt;
}

}  // namespace

Answered check_export(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out) {
    Question question;
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0)
        return not_allowed(r, "GET, HEAD", "Exports are read with GET.");
    question.method = view(r->method_name);
    if (const Answered answered = identify(r, conf, needed(conf), question)) return answered;
    const auto suffix = suffix_of(r);
    const bool summary = suffix && *suffix == "summary";
    if (!suffix || (!suffix->empty() && !summary)) return no_such_path(r);
    // HTTP/1.0 tells the end of an answer of unknown length by closing: a cut would look like a file that is whole.
    if (!summary && r->http_version < NGX_HTTP_VERSION_11)
        return send_problem(r, kOldHttp,
                            "Exports need HTTP/1.1 or newer, which can tell a whole file from a broken one.");
    auto parameters = parameters_of(r, conf);
    if (!parameters) return send_problem(r, kBadParameter, parameters.error());
    question.parameters = std::move(*parameters);
    if (const auto checked = reader_of(conf.content, summary)(question); !checked)
        return send_problem(r, kBadParameter, checked.error());
    out = write_request(r, question);
    return std::nullopt;
}

Answered check_import(ngx_http_request_t* r, const LocationConf& conf, ContentRequest& out) {
    Question question;
    question.method = "POST";
    question.has_body = true;
    question.streams_body = true;
    if (r->method != NGX_HTTP_POST) return not_allowed(r, "POST", "Imports are sent with POST.");
    if (const Answered answered = identify(r, conf, needed(conf), question)) return answered;
    if (const Answered answered = refuse_unwanted(r, conf)) return answered;
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
    question.body_bytes = declared_length(r);
    out = write_request(r, question);
    return std::nullopt;
}

}  // namespace apikey::ngx
