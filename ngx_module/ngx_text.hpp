// Between nginx's strings and the standard library's. Views share the bytes; only copies allocate.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

inline std::string_view view(const ngx_str_t& text) noexcept {
    return {reinterpret_cast<const char*>(text.data), text.len};
}

// The bytes stay the caller's; nginx does not write through the pointer where this is used.
inline ngx_str_t borrowed(std::string_view text) noexcept {
    return {text.size(), reinterpret_cast<u_char*>(const_cast<char*>(text.data()))};
}

// A copy in `pool`, zero-terminated for functions of C. data is null when there is no memory.
inline ngx_str_t copied(ngx_pool_t* pool, std::string_view text) noexcept {
    auto* bytes = static_cast<u_char*>(ngx_pnalloc(pool, text.size() + 1));
    if (bytes == nullptr) return {0, nullptr};
    if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
    bytes[text.size()] = '\0';
    return {text.size(), bytes};
}

inline bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() &&
           ngx_strncasecmp(reinterpret_cast<u_char*>(const_cast<char*>(a.data())),
                           reinterpret_cast<u_char*>(const_cast<char*>(b.data())), a.size()) == 0;
}

}  // namespace apikey::ngx
