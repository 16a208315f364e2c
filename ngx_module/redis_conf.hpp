// The directives that say where Redis and the sidecar are.
#pragma once

#include "ngx_module/conf.hpp"

namespace apikey::ngx {

// Reads `api_key_redis url [password_file=path] [timeout=time] [connect_timeout=time]`; resolves the host, reads the
// password, opens no connection.
char* read_redis_directive(ngx_conf_t* cf, MainConf& conf);

// Reads `api_key_sidecar unix:/path [secret_file=path]`.
char* read_sidecar_directive(ngx_conf_t* cf, MainConf& conf);

// What holds where these directives are not written, and what they take from others (`resolver`).
char* finish_connections(ngx_conf_t* cf, MainConf& conf);

}  // namespace apikey::ngx
