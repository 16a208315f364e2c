#include "ngx_module/location_directives.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "core/policy.hpp"
#include "core/problem.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/metrics.hpp"

namespace apikey::ngx {

namespace {

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

bool valid_field_name(std::string_view name) {
    if (name.empty()) return false;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && c != '.') return false;
    }
    return true;
}

// One word of api_key_source, or nothing when it is none.
std::optional<Source> parse_source(std::string_view word) {
    if (word == "bearer") return Source{Source::Place::bearer, {}};
    static constexpr std::array<std::pair<std::string_view, Source::Place>, 3> kPlaces{
        {{"header:", Source::Place::header}, {"arg:", Source::Place::argument}, {"cookie:", Source::Place::cookie}}};
    for (const auto& [start, place] : kPlaces) {
        if (!word.starts_with(start)) continue;
        word.remove_prefix(start.size());
        if (!valid_field_name(word)) return std::nullopt;
        return Source{place, word};
    }
    return std::nullopt;
}

// One word of api_key_cache, e.g. valid=30s; a message when it is none.
char* set_cache_time(ngx_conf_t* cf, std::string_view word, CacheTimes& times) {
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, equals);
    static constexpr std::array<std::pair<std::string_view, std::int64_t CacheTimes::*>, 3> kTimes{
        {{"valid", &CacheTimes::valid}, {"invalid", &CacheTimes::invalid}, {"stale", &CacheTimes::stale}}};
    for (const auto& [known, member] : kTimes) {
        if (name != known || equals == word.size()) continue;
        const std::string_view text = word.substr(equals + 1);
        ngx_str_t words = borrowed(text);
        const ngx_int_t time = ngx_parse_time(&words, 0);
        if (text.empty() || time == NGX_ERROR) {
            return wrong(cf, "api_key_cache: " + quoted(text) + " is not a time; write for example " +
                                 std::string(name) + "=30s (a bare number counts seconds, 0: not at all)");
        }
        times.*member = time;
        return NGX_CONF_OK;
    }
    return wrong(cf, "unknown parameter " + quoted(name) + " of api_key_cache; there are valid=, invalid= and stale=");
}

}  // namespace

char* set_api_key(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.enabled != NGX_CONF_UNSET) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key", [&]() -> char* {
        const std::string_view realm = argument(cf, 1);
        if (realm == "off") {
            location.enabled = 0;
            return NGX_CONF_OK;
        }
        if (realm.empty() || !valid_realm(realm)) {
            return wrong(cf,
                         "api_key takes a realm of printable characters, for example api_key \"Example API\";, or off");
        }
        location.enabled = 1;
        location.realm = copied_or_throw(cf->pool, realm);
        location.declared_in = this_line(cf);
        return NGX_CONF_OK;
    });
}

char* set_source(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.sources != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_source", [&]() -> char* {
        location.sources = make_in_pool<Sources>(cf->pool);
        for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
            const auto source = parse_source(argument(cf, i));
            if (!source) {
                return wrong(cf, "unknown source " + quoted(argument(cf, i)) +
                                     " in api_key_source; write bearer, header:NAME, arg:NAME or cookie:NAME");
            }
            for (const Source& earlier : *location.sources) {
                if (earlier.place == source->place && equal_ignoring_case(earlier.name, source->name)) {
                    return wrong(cf, "source " + quoted(argument(cf, i)) + " stands twice in api_key_source");
                }
            }
            location.sources->push_back(*source);
        }
        return NGX_CONF_OK;
    });
}

char* set_require(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.written_scopes != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_require", [&]() -> char* {
        location.written_scopes = make_in_pool<Scopes>(cf->pool);
        for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
            const std::string_view scope = argument(cf, i);
            if (!valid_scope(scope) || scope == "*") {
                return wrong(cf,
                             "invalid scope " + quoted(scope) +
                                 " in api_key_require; write scopes as words, for example api_key_require chat:write;");
            }
            location.written_scopes->push_back(scope);
        }
        return NGX_CONF_OK;
    });
}

char* set_phase(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.phase != NGX_CONF_UNSET_UINT) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_phase", [&]() -> char* {
        const std::string_view phase = argument(cf, 1);
        if (phase != "access" && phase != "preaccess") {
            return wrong(cf, "unknown phase " + quoted(phase) + "; write api_key_phase access; or preaccess;");
        }
        location.phase = phase == "access" ? NGX_HTTP_ACCESS_PHASE : NGX_HTTP_PREACCESS_PHASE;
        return NGX_CONF_OK;
    });
}

char* set_cache(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.cache != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_cache", [&]() -> char* {
        auto* times = make_in_pool<CacheTimes>(cf->pool);
        location.cache = times;
        for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
            for (ngx_uint_t earlier = 1; earlier < i; ++earlier) {
                const auto name = [&](ngx_uint_t at) { return argument(cf, at).substr(0, argument(cf, at).find('=')); };
                if (name(earlier) == name(i)) {
                    return wrong(cf, "api_key_cache: " + std::string(name(i)) + "= stands twice; keep one");
                }
            }
            if (char* failed = set_cache_time(cf, argument(cf, i), *times); failed != NGX_CONF_OK) return failed;
        }
        return NGX_CONF_OK;
    });
}

char* set_metrics(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& core = *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    return guarded(cf, "api_key_metrics", [&]() -> char* {
        core.handler = metrics_handler;
        static_cast<LocationConf*>(conf)->metrics_in = this_line(cf);
        return NGX_CONF_OK;
    });
}

}  // namespace apikey::ngx
