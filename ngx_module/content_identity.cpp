#include "ngx_module/content_identity.hpp"

#include <algorithm>

#include "core/byte_run.hpp"
#include "core/policy.hpp"
#include "core/utf8.hpp"
#include "ngx_module/answer.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

namespace {

constexpr ContentProblem kTooEarly{425, "too_early", "Too early"};
constexpr ContentProblem kBadUser{NGX_HTTP_FORBIDDEN, "forbidden", "Forbidden"};
constexpr ContentProblem kCrossSite{NGX_HTTP_FORBIDDEN, "cross_site_request", "Request of another site"};

ngx_int_t refuse_as(ngx_http_request_t* r, const LocationConf& conf, const NeededScopes& needed, Verdict verdict) {
    RequestCtx* ctx = r == r->main ? find_or_make_ctx(r) : nullptr;
    if (ctx == nullptr) return verdict == Verdict::forbidden ? NGX_HTTP_FORBIDDEN : NGX_HTTP_UNAUTHORIZED;
    ctx->verdict = verdict;
    ctx->judged_in = &conf;
    return refuse(*ctx, conf, needed.challenge);
}

// A key was verified for this request, or for the one that this is a subrequest of: it must have the scopes that are needed here.
Verdict judge_key(const RequestCtx* ctx, const Scopes& needed) {
    if (ctx == nullptr || !is_verified(*ctx)) return Verdict::missing;
    return judge({ctx->facts.scopes(), ctx->facts.expires}, ngx_time(), needed);
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

// A key that a page has put into a header itself is none that the browser adds for anybody. Whom api_key_user names may come from a password
// all the same, where a key is there as well.
bool browser_adds_identity(const LocationConf& conf) {
    if (conf.user != nullptr) return true;
    return conf.sources != nullptr && std::any_of(conf.sources->begin(), conf.sources->end(), [](const Source& source) {
               return source.place == Source::Place::cookie;
           });
}

// Browsers say so (Fetch Metadata, W3C); old ones by Origin alone (RFC 6454). Whoever says neither is no browser.
bool is_cross_site(ngx_http_request_t* r) {
    if (const std::string_view site = field_of(r, "Sec-Fetch-Site"); !site.empty())
        return site != "same-origin" && site != "none";
    const std::string_view origin = field_of(r, "Origin");
    if (origin.empty()) return false;
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos || r->headers_in.host == nullptr) return true;
    std::string_view host = view(r->headers_in.host->value);
    const std::string_view usual_port = origin.starts_with("https") ? ":443" : ":80";  // which an Origin leaves out
    if (host.ends_with(usual_port)) host.remove_suffix(usual_port.size());
    return !equal_ignoring_case(origin.substr(scheme + 3), host);
}

}  // namespace

Answered identify(ngx_http_request_t* r, const LocationConf& conf, const NeededScopes& needed, Question& question) {
    const RequestCtx* ctx = find_ctx(r);
    const Verdict verdict = judge_key(ctx, *needed.scopes);
    // nginx asks no subrequest for a password, nor for anything else that api_key_user may name.
    if (conf.user != nullptr && r != r->main) return refuse_as(r, conf, needed, Verdict::missing);
    if (verdict != Verdict::valid && (verdict != Verdict::missing || conf.user == nullptr))
        return refuse_as(r, conf, needed, verdict);
    if (verdict == Verdict::valid) {
        question.key_id = ctx->facts.id();
        question.key_user = ctx->facts.user();
    }
    if (conf.user == nullptr) {
        question.user = ctx->facts.user();
        return std::nullopt;
    }
    ngx_str_t user{};
    if (ngx_http_complex_value(r, conf.user, &user) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (user.len == 0) return refuse_as(r, conf, needed, Verdict::missing);
    question.user = view(user);
    if (!has_control_byte(question.user) && is_utf8(question.user)) return std::nullopt;
    return send_problem(r, kBadUser,
                        "The identity that this site has established is no text without control characters.");
}

Answered refuse_unwanted(ngx_http_request_t* r, const LocationConf& conf) {
    if (is_early(r))
        return send_problem(r, kTooEarly,
                            "A change is not taken from early data, which may be sent again. Send it again.");
    if (browser_adds_identity(conf) && is_cross_site(r))
        return send_problem(r, kCrossSite, "A page of another site has sent this; it was not taken.");
    return std::nullopt;
}

}  // namespace apikey::ngx
