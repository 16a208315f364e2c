// $api_key_*: what the rest of nginx.conf sees of a key. Never the key, never its hash.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

ngx_int_t add_variables(ngx_conf_t* cf) noexcept;

}  // namespace apikey::ngx
