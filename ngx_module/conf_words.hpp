// The words of the directive that is being read, and how it is refused.
#pragma once

#include <new>
#include <string>
#include <string_view>

#include "ngx_module/ngx.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

// Word `index` of the directive; 0 is its name.
inline std::string_view argument(ngx_conf_t* cf, ngx_uint_t index) {
    return view(static_cast<ngx_str_t*>(cf->args->elts)[index]);
}

// A copy in the configuration's pool. Throws std::bad_alloc.
inline ngx_str_t copied_or_throw(ngx_pool_t* pool, std::string_view text) {
    const ngx_str_t copy = copied(pool, text);
    if (copy.data == nullptr) throw std::bad_alloc();
    return copy;
}

// The file and line that nginx reads, for messages that come later; in the configuration's pool. Throws std::bad_alloc.
inline ngx_str_t this_line(ngx_conf_t* cf) {
    return copied_or_throw(cf->pool,
                           std::string(view(cf->conf_file->file.name)) + ":" + std::to_string(cf->conf_file->line));
}

// Logs what is wrong, with the file and line that nginx is at (and the system's error, unless 0): what the setter of a
// directive returns.
inline char* wrong(ngx_conf_t* cf, const std::string& message, ngx_err_t error = 0) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, error, "%s", message.c_str());
    return static_cast<char*>(NGX_CONF_ERROR);
}

}  // namespace apikey::ngx
