// Fences between nginx's C frames and our C++: an exception that crossed would end the worker with SIGABRT.
// Every function that nginx calls is noexcept and does its work inside one of these.
#pragma once

#include <exception>
#include <new>
#include <utility>

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Runs `body`; logs what it throws under `where` and gives `failed` instead.
template <class Value, class Body>
Value guarded(ngx_log_t* log, const char* where, Value failed, Body&& body) noexcept {
    try {
        return std::forward<Body>(body)();
    } catch (const std::exception& e) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "api_key: %s: %s", where, e.what());
    } catch (...) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "api_key: %s: unknown exception", where);
    }
    return failed;
}

// For a request's handlers: an error never means "let it through". Not the connection's log: nginx would add the
// request line, and a key may stand in its query.
template <class Body>
ngx_int_t guarded(ngx_http_request_t*, const char* where, Body&& body) noexcept {
    return guarded(ngx_cycle->log, where, static_cast<ngx_int_t>(NGX_HTTP_INTERNAL_SERVER_ERROR),
                   std::forward<Body>(body));
}

// For directives: a message at `nginx -t` instead of a crash.
template <class Body>
char* guarded(ngx_conf_t* cf, const char* where, Body&& body) noexcept {
    return guarded(cf->log, where, static_cast<char*>(NGX_CONF_ERROR), std::forward<Body>(body));
}

// A T in `pool`, destroyed with it. Throws std::bad_alloc, and what T's constructor throws.
template <class T, class... Arguments>
T* make_in_pool(ngx_pool_t* pool, Arguments&&... arguments) {
    ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(pool, sizeof(T));
    if (cleanup == nullptr) throw std::bad_alloc();
    auto* object = new (cleanup->data) T(std::forward<Arguments>(arguments)...);
    cleanup->handler = [](void* data) { static_cast<T*>(data)->~T(); };
    return object;
}

}  // namespace apikey::ngx
