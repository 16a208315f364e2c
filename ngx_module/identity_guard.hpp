// At `nginx -t`: api_key_user where nothing keeps clients from saying who they are.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

// While a location inherits: it has api_key_user, and is to be looked at when all modules have inherited. `conf` stays where it is. Throws
// std::bad_alloc.
void guard_identity(ngx_conf_t* cf, const LocationConf& conf);

// When all have: NGX_ERROR, with a message, where one of these locations
//   - is protected by nothing: no api_key, no auth_basic, no auth_request, no client certificate, no allow or deny. What another module does
//     cannot be told; "allow all;" says that it does;
//   - names $remote_user, which nginx takes from the header whether or not somebody has asked for the password, without auth_basic;
//   - has "satisfy any": who comes in by one rule would act for whom another one, which was not asked, names.
ngx_int_t check_guarded_identities(ngx_conf_t* cf);

}  // namespace apikey::ngx
