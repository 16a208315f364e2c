#include "ngx_module/key_zone.hpp"

#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr const char* kForm = "write api_key_zone name:size, for example api_key_zone keys:8m;";
constexpr ngx_uint_t kFewestPages = 8;  // what nginx's own zones ask for at least

ngx_int_t init_key_zone(ngx_shm_zone_t*, void*) noexcept {
    return NGX_OK;
}

}  // namespace

char* declare_key_zone(ngx_conf_t* cf, MainConf& conf) {
    if (conf.zone != nullptr) return const_cast<char*>("is duplicate");
    ngx_str_t& argument = static_cast<ngx_str_t*>(cf->args->elts)[1];
    const std::size_t colon = view(argument).rfind(':');
    if (colon == std::string_view::npos || colon == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is not a name and a size; %s", &argument, kForm);
        return static_cast<char*>(NGX_CONF_ERROR);
    }
    ngx_str_t name{colon, argument.data};
    ngx_str_t size_text{argument.len - colon - 1, argument.data + colon + 1};
    const ssize_t size = ngx_parse_size(&size_text);
    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is not a size; %s", &size_text, kForm);
        return static_cast<char*>(NGX_CONF_ERROR);
    }
    if (size < static_cast<ssize_t>(kFewestPages * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small; it needs at least %uik", &name,
                           kFewestPages * ngx_pagesize / 1024);
        return static_cast<char*>(NGX_CONF_ERROR);
    }
    conf.zone = ngx_shared_memory_add(cf, &name, static_cast<std::size_t>(size), &ngx_http_api_key_module);
    if (conf.zone == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
    conf.zone->init = init_key_zone;
    return NGX_CONF_OK;
}

}  // namespace apikey::ngx
