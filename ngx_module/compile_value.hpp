// Words of nginx.conf that may hold variables.
#pragma once

#include <new>

#include "ngx_module/conf_words.hpp"

namespace apikey::ngx {

// Word `index` as a value that may hold variables, in the configuration's pool. Null: what is wrong with it is logged. Throws
// std::bad_alloc.
inline ngx_http_complex_value_t* compile_value(ngx_conf_t* cf, ngx_uint_t index) {
    auto* value = static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (value == nullptr) throw std::bad_alloc();
    ngx_http_compile_complex_value_t compile{};
    compile.cf = cf;
    compile.value = &static_cast<ngx_str_t*>(cf->args->elts)[index];
    compile.complex_value = value;
    return ngx_http_compile_complex_value(&compile) == NGX_OK ? value : nullptr;
}

}  // namespace apikey::ngx
