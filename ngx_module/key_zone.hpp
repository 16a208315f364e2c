// api_key_zone: the shared memory of all workers. It is only declared here: the key cache will live in it.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

// Reads `api_key_zone name:size`. Takes the directive's words from `cf`; throws std::bad_alloc.
char* declare_key_zone(ngx_conf_t* cf, MainConf& conf);

}  // namespace apikey::ngx
