// How the directives about usage are read: setters for the table in directives.cpp.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

char* set_usage_interval(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_spool(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_usage_value(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;  // command->offset says which
char* set_usage_tokens(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_usage_cost(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_usage_response(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;

// What a location says nothing of is as in the one around it.
void inherit_usage(LocationConf& conf, const LocationConf& above) noexcept;
// For a location with api_key: the labels that are the same for all of its requests. Throws std::bad_alloc.
void finish_usage(ngx_conf_t* cf, LocationConf& conf);

}  // namespace apikey::ngx
