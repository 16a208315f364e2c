// The two nginx modules: where each part of the product is hooked into nginx.
#include "ngx_module/access_phase.hpp"
#include "ngx_module/answer.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/identity_guard.hpp"
#include "ngx_module/log_phase.hpp"
#include "ngx_module/variables.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

ngx_int_t add_handler(ngx_conf_t* cf, ngx_http_phases phase, ngx_http_handler_pt handler) noexcept {
    auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    auto* place = static_cast<ngx_http_handler_pt*>(ngx_array_push(&core->phases[phase].handlers));
    if (place == nullptr) return NGX_ERROR;
    *place = handler;
    return NGX_OK;
}

// Where a handler is used nowhere, every request would pass there for nothing.
ngx_int_t hook_into_phases(ngx_conf_t* cf) noexcept {
    if (guarded(cf->log, "api_key_user", static_cast<ngx_int_t>(NGX_ERROR),
                [&] { return check_guarded_identities(cf); }) != NGX_OK)
        return NGX_ERROR;
    if (add_handler(cf, NGX_HTTP_ACCESS_PHASE, access_handler) != NGX_OK) return NGX_ERROR;
    if (main_conf(cf).used_in_satisfy_any && add_handler(cf, NGX_HTTP_PRECONTENT_PHASE, passed_handler) != NGX_OK)
        return NGX_ERROR;
    return add_handler(cf, NGX_HTTP_LOG_PHASE, count_request);
}

ngx_int_t hook_into_filters(ngx_conf_t* cf) noexcept {
    install_answer_filters();
    if (!main_conf(cf).used_in_preaccess) return NGX_OK;
    return add_handler(cf, NGX_HTTP_PREACCESS_PHASE, preaccess_handler);
}

ngx_int_t init_worker(ngx_cycle_t* cycle) noexcept {
    return guarded(cycle->log, "worker start", static_cast<ngx_int_t>(NGX_ERROR), [&] {
        start_worker(cycle);
        return static_cast<ngx_int_t>(NGX_OK);
    });
}

void exit_worker(ngx_cycle_t*) noexcept {
    stop_worker();
}

ngx_http_module_t access_module = {
    add_variables,         // preconfiguration
    hook_into_phases,      // postconfiguration
    create_main_conf,      // create main configuration
    init_main_conf,        // init main configuration
    nullptr,               // create server configuration
    nullptr,               // merge server configuration
    create_location_conf,  // create location configuration
    merge_location_conf,   // merge location configuration
};

ngx_http_module_t filter_module = {nullptr, hook_into_filters, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

}  // namespace apikey::ngx

ngx_module_t ngx_http_api_key_module = {
    NGX_MODULE_V1,
    &apikey::ngx::access_module,  // module context
    apikey::ngx::directives,      // module directives
    NGX_HTTP_MODULE,              // module type
    nullptr,                      // init master
    nullptr,                      // init module
    apikey::ngx::init_worker,     // init process
    nullptr,                      // init thread
    nullptr,                      // exit thread
    apikey::ngx::exit_worker,     // exit process
    nullptr,                      // exit master
    NGX_MODULE_V1_PADDING,
};

ngx_module_t ngx_http_api_key_filter_module = {
    NGX_MODULE_V1, &apikey::ngx::filter_module,
    nullptr,       NGX_HTTP_MODULE,
    nullptr,       nullptr,
    nullptr,       nullptr,
    nullptr,       nullptr,
    nullptr,       NGX_MODULE_V1_PADDING,
};
