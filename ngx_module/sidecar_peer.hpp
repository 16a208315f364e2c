// apikeyd as nginx's upstream machinery sees it: one address, and connections that are kept for the next request.
#pragma once

#include <sys/un.h>

#include <string>

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

class SidecarPeer {
  public:
    explicit SidecarPeer(const std::string& socket_path);
    SidecarPeer(const SidecarPeer&) = delete;
    SidecarPeer& operator=(const SidecarPeer&) = delete;

    // For ngx_http_upstream_conf_t::upstream. Lives as long as this object.
    ngx_http_upstream_srv_conf_t* upstream() noexcept { return &upstream_; }

    // What was kept by this worker. Each worker has its own copy of this object, and starts with none.
    static constexpr std::size_t kMostIdle = 8;
    static constexpr ngx_msec_t kIdleTime = 30'000;  // shorter than apikeyd's, so that it is nginx who closes

  private:
    static ngx_int_t init(ngx_http_request_t* r, ngx_http_upstream_srv_conf_t* upstream) noexcept;
    static ngx_int_t get(ngx_peer_connection_t* peer, void* data) noexcept;
    static void put_back(ngx_peer_connection_t* peer, void* data, ngx_uint_t state) noexcept;
    static void on_idle_event(ngx_event_t* event) noexcept;

    bool keep(ngx_connection_t* c, const ngx_http_request_t* r) noexcept;
    void forget(const ngx_connection_t* c) noexcept;

    ngx_http_upstream_srv_conf_t upstream_{};  // first: init() gets this object by its address
    sockaddr_un address_{};
    ngx_str_t name_{};
    std::string shown_name_;
    ngx_connection_t* idle_[kMostIdle]{};  // the latest last
    std::size_t idle_count_ = 0;
};

}  // namespace apikey::ngx
