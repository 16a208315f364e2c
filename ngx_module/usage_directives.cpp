#include "ngx_module/usage_directives.hpp"

#include <array>

#include "core/usage/cost.hpp"
#include "core/utf8.hpp"
#include "ngx_module/compile_value.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/guard.hpp"

namespace apikey::ngx {

namespace {

constexpr ngx_msec_t kShortestInterval = 100;
constexpr ngx_msec_t kLongestInterval = 60'000;

// The label that is the same for all requests, in the configuration's pool.
usage::Label make_label(ngx_conf_t* cf, std::string_view text) {
    std::array<char, usage::kMaxLabelBytes> scratch;
    const std::string_view clean = view(copied_or_throw(cf->pool, clean_utf8(text, scratch)));
    return {clean, usage::hash_of(clean)};
}

bool takes_variables(const ngx_http_complex_value_t& value) noexcept {
    return value.lengths != nullptr;
}

// Word `index` as a number that may hold variables: a `$` that was forgotten shows now, not in what is counted. An empty
// word is none. Null: what is wrong with it is logged.
template <class Parse>
ngx_http_complex_value_t* compile_number(ngx_conf_t* cf, ngx_uint_t index, Parse parse, const char* what) {
    ngx_http_complex_value_t* const value = compile_value(cf, index);
    if (value == nullptr || takes_variables(*value) || value->value.len == 0 || parse(view(value->value))) return value;
    wrong(cf, "\"" + std::string(view(value->value)) + "\" is " + what);
    return nullptr;
}

ngx_http_complex_value_t* compile_tokens(ngx_conf_t* cf, ngx_uint_t index) {
    return compile_number(cf, index, usage::parse_tokens,
                          "no count of tokens; write a variable, for example api_key_usage_tokens "
                          "$upstream_http_x_tokens_in $upstream_http_x_tokens_out;");
}

}  // namespace

char* set_usage_interval(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& main = *static_cast<MainConf*>(conf);
    if (main.usage_interval != 0) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_usage_interval", [&]() -> char* {
        ngx_str_t text = borrowed(argument(cf, 1));
        const ngx_int_t time = ngx_parse_time(&text, 0);
        if (time == NGX_ERROR || static_cast<ngx_msec_t>(time) < kShortestInterval ||
            static_cast<ngx_msec_t>(time) > kLongestInterval) {
            return wrong(cf,
                         "api_key_usage_interval takes a time from 100ms to 1m, for example "
                         "api_key_usage_interval 1s;");
        }
        main.usage_interval = static_cast<ngx_msec_t>(time);
        return NGX_CONF_OK;
    });
}

char* set_spool(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& main = *static_cast<MainConf*>(conf);
    if (main.spool.data != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_spool", [&]() -> char* {
        ngx_str_t path = copied_or_throw(cf->pool, argument(cf, 1));
        if (path.len == 0 || ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK)
            return wrong(cf, "api_key_spool takes a directory, for example api_key_spool /var/spool/nginx-api-key;");
        ngx_file_info_t info;
        if (ngx_file_info(path.data, &info) == NGX_FILE_ERROR) {
            return wrong(cf,
                         "api_key_spool: cannot look at \"" + std::string(view(path)) +
                             "\"; make the directory, owned by the user of the workers",
                         ngx_errno);
        }
        if (!ngx_is_dir(&info)) return wrong(cf, "api_key_spool: \"" + std::string(view(path)) + "\" is no directory");
        main.spool = path;
        return NGX_CONF_OK;
    });
}

char* set_usage_value(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept {
    auto*& value = *reinterpret_cast<ngx_http_complex_value_t**>(static_cast<char*>(conf) + command->offset);
    if (value != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_usage", [&]() -> char* {
        value = compile_value(cf, 1);
        return value != nullptr ? NGX_CONF_OK : static_cast<char*>(NGX_CONF_ERROR);
    });
}

char* set_usage_tokens(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.usage_tokens_in != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_usage_tokens", [&]() -> char* {
        location.usage_tokens_in = compile_tokens(cf, 1);
        if (location.usage_tokens_in == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
        if (cf->args->nelts == 2) return NGX_CONF_OK;
        location.usage_tokens_out = compile_tokens(cf, 2);
        return location.usage_tokens_out != nullptr ? NGX_CONF_OK : static_cast<char*>(NGX_CONF_ERROR);
    });
}

char* set_usage_cost(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.usage_cost != nullptr) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_usage_cost", [&]() -> char* {
        location.usage_cost = compile_number(cf, 1, usage::parse_cost,
                                             "no cost; write a variable or a decimal number, for example "
                                             "api_key_usage_cost $upstream_http_x_cost;");
        return location.usage_cost != nullptr ? NGX_CONF_OK : static_cast<char*>(NGX_CONF_ERROR);
    });
}

char* set_usage_response(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& location = *static_cast<LocationConf*>(conf);
    if (location.response_usage != NGX_CONF_UNSET_UINT) return const_cast<char*>("is duplicate");
    return guarded(cf, "api_key_usage_response", [&]() -> char* {
        const std::string_view form = argument(cf, 1);
        if (form != "openai" && form != "off") {
            return wrong(cf, "unknown form \"" + std::string(form) +
                                 "\"; write api_key_usage_response openai; or api_key_usage_response off;");
        }
        location.response_usage =
            static_cast<ngx_uint_t>(form == "openai" ? ResponseUsage::openai : ResponseUsage::off);
        return NGX_CONF_OK;
    });
}

void inherit_usage(LocationConf& conf, const LocationConf& above) noexcept {
    ngx_conf_merge_value(conf.usage, above.usage, 1);
    ngx_conf_merge_uint_value(conf.response_usage, above.response_usage, static_cast<ngx_uint_t>(ResponseUsage::off));
    if (conf.usage_endpoint == nullptr) conf.usage_endpoint = above.usage_endpoint;
    if (conf.usage_model == nullptr) conf.usage_model = above.usage_model;
    if (conf.usage_cost == nullptr) conf.usage_cost = above.usage_cost;
    if (conf.usage_tokens_in != nullptr) return;
    conf.usage_tokens_in = above.usage_tokens_in;
    conf.usage_tokens_out = above.usage_tokens_out;
}

void finish_usage(ngx_conf_t* cf, LocationConf& conf) {
    const auto& core =
        *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    if (conf.usage_endpoint != nullptr) {
        if (!takes_variables(*conf.usage_endpoint))
            conf.endpoint_label = make_label(cf, view(conf.usage_endpoint->value));
    } else {
        conf.endpoint_label = make_label(cf, core.name.len != 0 ? view(core.name) : "/");
    }
    conf.no_model = make_label(cf, "");
    if (conf.usage_model != nullptr && !takes_variables(*conf.usage_model))
        conf.model_label = make_label(cf, view(conf.usage_model->value));
    conf.names_values = conf.usage_model != nullptr || conf.usage_tokens_in != nullptr || conf.usage_cost != nullptr;
}

}  // namespace apikey::ngx
