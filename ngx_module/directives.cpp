// The directives in the order of their documentation (docs/directives.md, which a test holds against this table), how
// each is read, and what is inherited. A mistake ends at `nginx -t` with a message that says what to write instead.
#include "ngx_module/conf.hpp"

#include <array>
#include <optional>
#include <utility>

#include "core/policy.hpp"
#include "core/problem.hpp"
#include "core/redis/names.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/key_zone.hpp"
#include "ngx_module/metrics.hpp"
#include "ngx_module/ngx_text.hpp"
#include "ngx_module/redis_conf.hpp"

namespace apikey::ngx {

namespace {

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

ngx_str_t copied_or_throw(ngx_pool_t* pool, std::string_view text) {
    const ngx_str_t copy = copied(pool, text);
    if (copy.data == nullptr) throw std::bad_alloc();
    return copy;
}

// The file and line that nginx reads, for messages that come later.
ngx_str_t this_line(ngx_conf_t* cf) {
    return copied_or_throw(cf->pool,
                           std::string(view(cf->conf_file->file.name)) + ":" + std::to_string(cf->conf_file->line));
}

// --- http ----------------------------------------------------------------------------------------------------

char* set_zone(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_zone", [&] { return declare_key_zone(cf, *static_cast<MainConf*>(conf)); });
}

char* set_redis(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_redis", [&] { return read_redis_directive(cf, *static_cast<MainConf*>(conf)); });
}

char* set_redis_prefix(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& main = *static_cast<MainConf*>(conf);
    if (main.redis_prefix.data != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_redis_prefix", [&]() -> char* {
        const std::string_view prefix = argument(cf, 1);
        if (prefix.empty() || prefix.size() > redis::kMaxPrefixBytes) {
            return wrong(cf, "api_key_redis_prefix takes 1 to 64 bytes, for example api_key_redis_prefix apikey:;");
        }
        if (!redis::has_prefix_bytes(prefix)) {
            return wrong(cf, "api_key_redis_prefix takes printable ASCII without spaces");
        }
        main.redis_prefix = copied_or_throw(cf->pool, prefix);
        return NGX_CONF_OK;
    });
}

char* set_sidecar(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    return guarded(cf, "api_key_sidecar", [&] { return read_sidecar_directive(cf, *static_cast<MainConf*>(conf)); });
}

// --- location ------------------------------------------------------------------------------------------------

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
    if (location.required != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_require", [&]() -> char* {
        location.required = make_in_pool<Scopes>(cf->pool);
        for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
            const std::string_view scope = argument(cf, i);
            if (!valid_scope(scope) || scope == "*") {
                return wrong(cf,
                             "invalid scope " + quoted(scope) +
                                 " in api_key_require; write scopes as words, for example api_key_require chat:write;");
            }
            location.required->push_back(scope);
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

constexpr ngx_uint_t kAnywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_HTTP_LMT_CONF;

}  // namespace

ngx_command_t directives[] = {
    {ngx_string("api_key_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_zone, NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_redis"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, set_redis, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key_redis_prefix"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_redis_prefix,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_sidecar"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12, set_sidecar, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("api_key"), kAnywhere | NGX_CONF_TAKE1, set_api_key, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_phase"), kAnywhere | NGX_CONF_TAKE1, set_phase, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_source"), kAnywhere | NGX_CONF_1MORE, set_source, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_cache"), kAnywhere | NGX_CONF_TAKE123, set_cache, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_checksum"), kAnywhere | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, checksum), nullptr},
    {ngx_string("api_key_require"), kAnywhere | NGX_CONF_1MORE, set_require, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("api_key_metrics"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_metrics, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    ngx_null_command};

void* create_main_conf(ngx_conf_t* cf) noexcept {
    return ngx_pcalloc(cf->pool, sizeof(MainConf));
}

char* init_main_conf(ngx_conf_t* cf, void* conf) noexcept {
    auto& main = *static_cast<MainConf*>(conf);
    if (main.redis_prefix.data == nullptr) main.redis_prefix = borrowed(redis::kDefaultPrefix);
    return guarded(cf, "api_key", [&] { return set_connection_defaults(cf, main); });
}

void* create_location_conf(ngx_conf_t* cf) noexcept {
    auto* conf = static_cast<LocationConf*>(ngx_pcalloc(cf->pool, sizeof(LocationConf)));
    if (conf == nullptr) return nullptr;
    conf->enabled = NGX_CONF_UNSET;
    conf->checksum = NGX_CONF_UNSET;
    conf->phase = NGX_CONF_UNSET_UINT;
    return conf;
}

namespace {

// Told to keep headers that are invalid to it, nginx keeps X_User_Id under a hash of its own making, by which the
// proxy_set_header lines of conf/api_key_params do not find it. Where underscores are valid they do.
void warn_of_kept_headers(ngx_conf_t* cf, MainConf& main) {
    const auto& server =
        *static_cast<ngx_http_core_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));
    if (server.ignore_invalid_headers != 0 || server.underscores_in_headers != 0 || main.warned_of_headers) return;
    main.warned_of_headers = true;
    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"ignore_invalid_headers off\" lets a client's X_User_Id through conf/api_key_params; "
                       "write \"underscores_in_headers on;\" beside it");
}

// Not wrong(): that would name the line where the http block ends.
char* without_zone(ngx_conf_t* cf, const char* directive, const ngx_str_t& declared_in) {
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" needs a key zone; write \"api_key_zone keys:8m;\" in the http block in %V", directive,
                  &declared_in);
    return static_cast<char*>(NGX_CONF_ERROR);
}

char* finish_location(ngx_conf_t* cf, LocationConf& conf) {
    auto& main = *static_cast<MainConf*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_api_key_module));
    main.used = true;
    warn_of_kept_headers(cf, main);
    if (main.zone == nullptr) return without_zone(cf, "api_key", conf.declared_in);
    static constexpr CacheTimes kDefaultTimes;
    if (conf.cache == nullptr) conf.cache = &kDefaultTimes;
    static const Scopes kNoScopes;
    const Scopes& required = conf.required != nullptr ? *conf.required : kNoScopes;
    const auto text = [&](Verdict verdict) {
        return copied_or_throw(cf->pool, challenge(view(conf.realm), verdict, required));
    };
    conf.challenge_missing = text(Verdict::missing);
    conf.challenge_invalid = text(Verdict::invalid);
    conf.challenge_scope = text(Verdict::forbidden);
    return NGX_CONF_OK;
}

}  // namespace

char* merge_location_conf(ngx_conf_t* cf, void* parent, void* child) noexcept {
    const auto& above = *static_cast<LocationConf*>(parent);
    auto& conf = *static_cast<LocationConf*>(child);
    if (conf.enabled == NGX_CONF_UNSET) {
        conf.enabled = above.enabled == NGX_CONF_UNSET ? 0 : above.enabled;
        conf.realm = above.realm;
        conf.declared_in = above.declared_in;
    }
    if (conf.sources == nullptr) conf.sources = above.sources;
    if (conf.required == nullptr) conf.required = above.required;
    ngx_conf_merge_value(conf.checksum, above.checksum, 0);
    ngx_conf_merge_uint_value(conf.phase, above.phase, NGX_HTTP_ACCESS_PHASE);
    if (conf.cache == nullptr) conf.cache = above.cache;
    const auto& main = *static_cast<MainConf*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_api_key_module));
    if (conf.metrics_in.data != nullptr && main.zone == nullptr)
        return without_zone(cf, "api_key_metrics", conf.metrics_in);
    if (conf.enabled == 0) return NGX_CONF_OK;
    return guarded(cf, "api_key", [&] { return finish_location(cf, conf); });
}

}  // namespace apikey::ngx
