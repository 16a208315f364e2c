// At `nginx -t`: api_key_user where nothing keeps clients from saying who they are.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

// While a location inherits: to be looked at when all modules have. Throws std::bad_alloc.
void guard_identity(ngx_conf_t* cf, const LocationConf& conf);

// When all have: NGX_ERROR, with a message, where nothing protects one of these locations: no api_key, no auth_basic, no auth_request, no
// client certificate, no allow or deny. What another module does cannot be told; "allow all;" says that it does.
ngx_int_t check_guarded_identities(ngx_conf_t* cf);

}  // namespace apikey::ngx
