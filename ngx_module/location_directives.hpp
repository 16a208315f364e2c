// How the directives of locations are read: setters for the table in directives.cpp. A mistake ends at `nginx -t` with a
// message that says what to write instead.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

char* set_api_key(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_phase(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_source(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_cache(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_require(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_metrics(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;

}  // namespace apikey::ngx
