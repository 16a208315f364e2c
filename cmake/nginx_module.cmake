# ngx_http_api_key_module.so: two nginx modules in one file, for the nginx that NGX_OBJS was configured for.
set(MODULE_SOURCES
    ngx_module/access_phase.cpp
    ngx_module/answer.cpp
    ngx_module/content_directives.cpp
    ngx_module/content_handlers.cpp
    ngx_module/content_identity.cpp
    ngx_module/content_manage.cpp
    ngx_module/content_question.cpp
    ngx_module/content_transfer.cpp
    ngx_module/credentials.cpp
    ngx_module/directives.cpp
    ngx_module/identity_guard.cpp
    ngx_module/invalidation.cpp
    ngx_module/key_zone.cpp
    ngx_module/location_directives.cpp
    ngx_module/log_phase.cpp
    ngx_module/lookups.cpp
    ngx_module/metrics.cpp
    ngx_module/module.cpp
    ngx_module/modules.c
    ngx_module/park.cpp
    ngx_module/problem_answer.cpp
    ngx_module/process_identity.cpp
    ngx_module/redis_addresses.cpp
    ngx_module/redis_conf.cpp
    ngx_module/redis_link.cpp
    ngx_module/redis_socket.cpp
    ngx_module/request_ctx.cpp
    ngx_module/response_usage.cpp
    ngx_module/send_text.cpp
    ngx_module/sidecar_framing.cpp
    ngx_module/sidecar_peer.cpp
    ngx_module/sidecar_upstream.cpp
    ngx_module/usage.cpp
    ngx_module/usage_capture.cpp
    ngx_module/usage_directives.cpp
    ngx_module/usage_shipping.cpp
    ngx_module/usage_slots.cpp
    ngx_module/usage_spool.cpp
    ngx_module/variables.cpp
    ngx_module/worker.cpp)

# nginx's headers are C and not ours: no warnings from them.
add_library(nginx_headers INTERFACE)
target_include_directories(nginx_headers SYSTEM INTERFACE
    ${NGX_SRC}/src/core ${NGX_SRC}/src/event ${NGX_SRC}/src/event/modules ${NGX_SRC}/src/event/quic
    ${NGX_SRC}/src/os/unix ${NGX_SRC}/src/http ${NGX_SRC}/src/http/modules ${NGX_SRC}/src/http/v2 ${NGX_SRC}/src/http/v3
    ${NGX_OBJS})

add_library(nginx_glue OBJECT ${MODULE_SOURCES})
target_link_libraries(nginx_glue PRIVATE nginx_headers warnings apikey_core)

# The arguments behind the name are the objects.
function(add_nginx_module target)
    add_library(${target} MODULE ${ARGN})
    set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ngx_http_api_key_module)
    target_link_options(${target} PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/nginx_module.map)
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/nginx_module.map)
    target_link_libraries(${target} PRIVATE OpenSSL::SSL OpenSSL::Crypto ZLIB::ZLIB PkgConfig::HIREDIS)
endfunction()

add_nginx_module(ngx_http_api_key_module $<TARGET_OBJECTS:nginx_glue> $<TARGET_OBJECTS:apikey_core>)

# The module without the checks that tie a reply to its question: t/identity_oracle_bites.t shows that they are needed.
if(NOT PARTS STREQUAL "module")
    add_library(unchecked_pairing OBJECT tests/unchecked/answers_question.cpp)
    target_link_libraries(unchecked_pairing PRIVATE apikey_core strict_warnings)
    add_nginx_module(unchecked_module $<TARGET_OBJECTS:nginx_glue> $<TARGET_OBJECTS:unchecked_pairing>
                     $<FILTER:$<TARGET_OBJECTS:apikey_core>,EXCLUDE,/core/answers_question>)
    set_target_properties(unchecked_module PROPERTIES
                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/unchecked)
endif()

# The module whose zone is laid out differently, by its own account: t/module_from_another_path.t replaces one by the other.
if(NOT PARTS STREQUAL "module")
    add_library(other_layout OBJECT ngx_module/key_zone.cpp)
    target_compile_definitions(other_layout PRIVATE APIKEY_ZONE_LAYOUT=127)
    target_link_libraries(other_layout PRIVATE nginx_headers warnings apikey_core)
    add_nginx_module(other_layout_module $<TARGET_OBJECTS:other_layout> $<TARGET_OBJECTS:apikey_core>
                     $<FILTER:$<TARGET_OBJECTS:nginx_glue>,EXCLUDE,/ngx_module/key_zone>)
    set_target_properties(other_layout_module PROPERTIES
                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/other_layout)
endif()
