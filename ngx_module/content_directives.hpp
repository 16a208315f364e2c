// How api_key_export, api_key_import, api_key_manage and api_key_user are read, and what they make of a location.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

char* set_export(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_import(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_manage(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_content_user(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;

// What stands in a location is served in its "if" and "limit_except" blocks as well, as by nginx's own modules. Before finish_content().
void inherit_content(ngx_conf_t* cf, LocationConf& conf, const LocationConf& above) noexcept;

// While a location inherits, before its challenges are made: the scope that its content handler needs joins what api_key_require says.
// NGX_CONF_OK or what is wrong. Throws std::bad_alloc.
char* finish_content(ngx_conf_t* cf, LocationConf& conf);

}  // namespace apikey::ngx
