// The only file that includes nginx's headers. Include it before any other header of ours.
#pragma once

extern "C" {
// clang-format off
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>
// clang-format on
}

// The two nginx modules of this .so (modules.c names them for the loader).
extern "C" {
extern __attribute__((visibility("default"))) ngx_module_t ngx_http_api_key_module;
extern __attribute__((visibility("default"))) ngx_module_t ngx_http_api_key_filter_module;
}
