#include "ngx_module/credentials.hpp"

#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

using Kind = Credentials::Kind;

constexpr Credentials kMalformed{Kind::malformed, {}};

// Calls `take` with the value of every header line of that name.
template <class Take>
void for_each_line(ngx_http_request_t* r, std::string_view name, Take&& take) noexcept {
    for (ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr; part = part->next) {
        const auto* lines = static_cast<const ngx_table_elt_t*>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (equal_ignoring_case(view(lines[i].key), name)) take(view(lines[i].value));
        }
    }
}

Credentials from_header(ngx_http_request_t* r, std::string_view name) noexcept {
    Credentials found;
    for_each_line(r, name,
                  [&](std::string_view value) { found = found.kind == Kind::none ? parse_key(value) : kMalformed; });
    return found;
}

Credentials from_cookie(ngx_http_request_t* r, std::string_view name) noexcept {
    Credentials found;
    for_each_line(r, "cookie", [&](std::string_view value) {
        if (found.kind != Kind::none) return;
        if (const auto cookie = find_cookie(value, name)) found = parse_key(*cookie);
    });
    return found;
}

// The raw value of the argument `name`, the last one where it is there several times; `*times` counts them.
std::string_view find_argument(std::string_view query, std::string_view name, int* times) noexcept {
    std::string_view value;
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
        const std::size_t equals = pair.find('=');
        if (pair.substr(0, equals) != name) continue;
        ++*times;
        value = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    }
    return value;
}

// The query as the client sent it.
std::string_view first_query(ngx_http_request_t* r) noexcept {
    const std::string_view uri = view(r->unparsed_uri);
    const std::size_t mark = uri.find('?');
    if (mark == std::string_view::npos) return {};
    return uri.substr(mark + 1, uri.find('#', mark) - mark - 1);
}

// What the client sent comes first: rewrites and redirects (try_files, X-Accel-Redirect) drop or change the arguments,
// and the key must not change within a request.
Credentials from_argument(ngx_http_request_t* r, std::string_view name) noexcept {
    int times = 0;
    std::string_view raw = find_argument(first_query(r), name, &times);
    if (times == 0) raw = find_argument(view(r->args), name, &times);
    if (times == 0) return {};
    if (times > 1) return kMalformed;
    if (raw.find('%') == std::string_view::npos) return parse_key(raw);
    auto* room = static_cast<char*>(ngx_pnalloc(r->pool, kMaxKeyBytes));
    if (room == nullptr) return kMalformed;
    const auto decoded = percent_decode(raw, {room, kMaxKeyBytes});
    return decoded ? parse_key(*decoded) : kMalformed;
}

Credentials from(ngx_http_request_t* r, const Source& source) noexcept {
    switch (source.place) {
        case Source::Place::bearer: return from_authorization(r);
        case Source::Place::header: return from_header(r, source.name);
        case Source::Place::argument: return from_argument(r, source.name);
        case Source::Place::cookie: return from_cookie(r, source.name);
    }
    return {};
}

}  // namespace

Credentials find_in_sources(ngx_http_request_t* r, const Sources& sources) noexcept {
    for (const Source& source : sources) {
        const Credentials found = from(r, source);
        if (found.kind != Kind::none) return found;
    }
    return {};
}

}  // namespace apikey::ngx
