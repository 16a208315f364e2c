#include "ngx_module/sidecar_peer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

void close_idle(ngx_connection_t* c) noexcept {
    ngx_destroy_pool(c->pool);
    ngx_close_connection(c);
}

bool is_broken(const ngx_connection_t* c) noexcept {
    return c->read->eof != 0 || c->read->error != 0 || c->read->timedout != 0 || c->write->error != 0 ||
           c->write->timedout != 0;
}

void use_log(ngx_connection_t* c, ngx_log_t* log) noexcept {
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->pool->log = log;
}

void nothing_to_do(ngx_event_t*) noexcept {}

// What get() and put_back() are about: the request, whose upstream leads to the peer.
ngx_http_request_t* request_of(void* data) noexcept {
    return static_cast<ngx_http_request_t*>(data);
}

static_assert(std::is_standard_layout_v<SidecarPeer>, "its first member has its address");
SidecarPeer* peer_of(const ngx_http_request_t* r) noexcept {
    return reinterpret_cast<SidecarPeer*>(r->upstream->conf->upstream);
}

}  // namespace

SidecarPeer::SidecarPeer(const std::string& socket_path) : shown_name_("unix:" + socket_path) {
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, socket_path.data(), std::min(socket_path.size(), sizeof(address_.sun_path) - 1));
    name_ = borrowed(shown_name_);
    upstream_.host = name_;
    upstream_.peer.init = init;
}

ngx_int_t SidecarPeer::init(ngx_http_request_t* r, ngx_http_upstream_srv_conf_t*) noexcept {
    ngx_peer_connection_t& peer = r->upstream->peer;
    peer.get = get;
    peer.free = put_back;
    peer.data = r;
    peer.tries = 1;
    return NGX_OK;
}

// A kept connection may have been closed by apikeyd meanwhile. nginx then asks again on another one, which it does not with what may
// not be done twice: that gets a new connection.
ngx_int_t SidecarPeer::get(ngx_peer_connection_t* peer, void* data) noexcept {
    const ngx_http_request_t* r = request_of(data);
    SidecarPeer& self = *peer_of(r);
    peer->sockaddr = reinterpret_cast<sockaddr*>(&self.address_);
    peer->socklen = sizeof(self.address_);
    peer->name = &self.name_;
    peer->cached = 0;
    peer->connection = nullptr;
    const bool may_be_repeated = (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) != 0;
    if (!may_be_repeated || self.idle_count_ == 0) return NGX_OK;
    ngx_connection_t* c = self.idle_[--self.idle_count_];
    c->idle = 0;
    c->sent = 0;
    c->data = nullptr;
    use_log(c, peer->log);
    if (c->read->timer_set != 0) ngx_del_timer(c->read);
    peer->connection = c;
    peer->cached = 1;
    return NGX_DONE;
}

void SidecarPeer::put_back(ngx_peer_connection_t* peer, void* data, ngx_uint_t state) noexcept {
    const ngx_http_request_t* r = request_of(data);
    ngx_connection_t* c = peer->connection;
    if (peer->tries > 0) --peer->tries;
    if (c == nullptr || (state & NGX_PEER_FAILED) != 0 || !peer_of(r)->keep(c, r)) return;
    peer->connection = nullptr;
}

bool SidecarPeer::keep(ngx_connection_t* c, const ngx_http_request_t* r) noexcept {
    const ngx_http_upstream_t& u = *r->upstream;
    if (is_broken(c) || u.keepalive == 0 || u.request_body_sent == 0 || ngx_terminate != 0 || ngx_exiting != 0)
        return false;
    if (idle_count_ == kMostIdle || ngx_handle_read_event(c->read, 0) != NGX_OK) return false;
    c->read->delayed = 0;
    ngx_add_timer(c->read, kIdleTime);
    if (c->write->timer_set != 0) ngx_del_timer(c->write);
    c->write->handler = nothing_to_do;
    c->read->handler = on_idle_event;
    c->data = this;
    c->idle = 1;
    use_log(c, ngx_cycle->log);
    idle_[idle_count_++] = c;
    if (c->read->ready != 0) on_idle_event(c->read);
    return true;
}

void SidecarPeer::forget(const ngx_connection_t* c) noexcept {
    auto* const end = idle_ + idle_count_;
    auto* const found = std::find(idle_, end, c);
    if (found == end) return;
    std::copy(found + 1, end, found);
    --idle_count_;
}

// apikeyd closed it, it was idle too long, or the worker ends (c->close).
void SidecarPeer::on_idle_event(ngx_event_t* event) noexcept {
    auto* c = static_cast<ngx_connection_t*>(event->data);
    if (c->close == 0 && event->timedout == 0) {
        char byte = 0;
        const ssize_t received = recv(c->fd, &byte, 1, MSG_PEEK);
        if (received == -1 && errno == EAGAIN) {
            event->ready = 0;
            if (ngx_handle_read_event(event, 0) == NGX_OK) return;
        }
    }
    static_cast<SidecarPeer*>(c->data)->forget(c);
    close_idle(c);
}

}  // namespace apikey::ngx
