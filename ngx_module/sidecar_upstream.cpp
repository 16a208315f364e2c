#include "ngx_module/sidecar_upstream.hpp"

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "core/decimal.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "ngx_module/conf_words.hpp"
#include "ngx_module/problem_answer.hpp"
#include "ngx_module/sidecar_framing.hpp"

namespace apikey::ngx {

namespace {

constexpr ngx_msec_t kConnectTimeout = 5'000;
constexpr ngx_msec_t kSendTimeout = 60'000;
// An export's next bytes; a bad apikeyd is noticed before that, since its socket closes with it.
constexpr ngx_msec_t kReadTimeout = 60'000;
// An import is answered when it is committed.
constexpr ngx_msec_t kImportTimeout = 600'000;
constexpr std::size_t kHeaderBytes = std::size_t{8} * 1024;
constexpr ngx_int_t kBuffers = 8;
constexpr std::size_t kBufferBytes = std::size_t{16} * 1024;

// One exchange with apikeyd, in the request's pool.
struct Exchange {
    ngx_str_t head;
    ngx_str_t filename;
    ngx_http_status_t status;
    SidecarFraming framing;
    bool has_body;
};
static_assert(std::is_trivially_destructible_v<Exchange>, "freed with the pool, never destroyed");

// Not in r->ctx, which the answer filter has: nginx forgets that on internal redirects, and a subrequest has its own upstream anyway.
Exchange& exchange_of(ngx_http_request_t* r) noexcept {
    return *static_cast<Exchange*>(r->upstream->input_filter_ctx);
}

ngx_int_t read_status_line(ngx_http_request_t* r) noexcept;

// The answer is read to its end: the connection may serve another request.
void allow_keeping(ngx_http_upstream_t& u) noexcept {
    u.keepalive = u.headers_in.connection_close == 0 ? 1 : 0;
}

ngx_chain_t* new_link(ngx_pool_t* pool) noexcept {
    ngx_chain_t* link = ngx_alloc_chain_link(pool);
    if (link == nullptr) return nullptr;
    link->buf = static_cast<ngx_buf_t*>(ngx_calloc_buf(pool));
    link->next = nullptr;
    return link->buf != nullptr ? link : nullptr;
}

// A body that came with the header is all there already, and nginx then takes no more of it as it comes: it is sent behind the head, its
// end marked by a buffer of its own.
bool append_whole_body(ngx_http_request_t* r, ngx_chain_t* end) noexcept {
    for (const ngx_chain_t* body = r->request_body->bufs; body != nullptr; body = body->next) {
        if (ngx_buf_size(body->buf) == 0) continue;
        end = end->next = new_link(r->pool);
        if (end == nullptr) return false;
        *end->buf = *body->buf;
        end->buf->last_buf = 0;
    }
    end->next = new_link(r->pool);
    if (end->next == nullptr) return false;
    end->next->buf->last_buf = 1;
    return true;
}

ngx_int_t create_request(ngx_http_request_t* r) noexcept {
    const Exchange& exchange = exchange_of(r);
    ngx_chain_t* head = new_link(r->pool);
    if (head == nullptr) return NGX_ERROR;
    head->buf->start = head->buf->pos = exchange.head.data;
    head->buf->end = head->buf->last = exchange.head.data + exchange.head.len;
    head->buf->memory = 1;
    head->buf->flush = 1;
    ngx_http_upstream_t& u = *r->upstream;
    u.request_bufs = head;
    if (!exchange.has_body) return NGX_OK;
    u.output.output_filter = write_in_chunks;
    u.output.filter_ctx = r;
    if (r->request_body_no_buffering != 0 || append_whole_body(r, head)) return NGX_OK;
    return NGX_ERROR;
}

ngx_int_t reinit_request(ngx_http_request_t* r) noexcept {
    Exchange& exchange = exchange_of(r);
    exchange.status = {};
    exchange.framing.chunked = {};
    exchange.framing.head_sent = false;
    r->upstream->process_header = read_status_line;
    r->state = 0;
    return NGX_OK;
}

void warn_of_refused_secret() noexcept {
    constexpr ngx_msec_t kQuiet = 10'000;
    static ngx_msec_t quiet_until = 0;  // of this worker
    if (static_cast<ngx_msec_int_t>(ngx_current_msec - quiet_until) < 0) return;
    quiet_until = ngx_current_msec + kQuiet;
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "api_key: apikeyd refuses this nginx's secret; secret_file of api_key_sidecar and of apikeyd.yaml "
                  "must name the same one");
}

ngx_int_t read_field(ngx_http_request_t* r) noexcept {
    ngx_http_upstream_t& u = *r->upstream;
    const auto text = [](const u_char* begin, const u_char* end) {
        return std::string_view(reinterpret_cast<const char*>(begin), static_cast<std::size_t>(end - begin));
    };
    const ngx_str_t name = borrowed(text(r->header_name_start, r->header_name_end));
    const std::string_view value = text(r->header_start, r->header_end);
    const auto is = [&](std::string_view wanted) { return equal_ignoring_case(view(name), wanted); };
    if (is("Content-Type")) {
        const ngx_str_t copy = copied(r->pool, value);
        if (copy.data == nullptr) return NGX_ERROR;
        r->headers_out.content_type = copy;
        r->headers_out.content_type_len = std::min(value.find(';'), value.size());
        r->headers_out.content_type_lowcase = nullptr;
    } else if (is("Content-Length")) {
        const auto length = parse_decimal(value);
        if (!length || *length > NGX_MAX_OFF_T_VALUE) return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        u.headers_in.content_length_n = static_cast<off_t>(*length);
    } else if (is("Transfer-Encoding")) {
        if (value != "chunked") return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        u.headers_in.chunked = 1;
    } else if (is("Connection")) {
        if (equal_ignoring_case(value, "close")) u.headers_in.connection_close = 1;
    } else if (is("Retry-After")) {
        const ngx_str_t copy = copied(r->pool, value);
        if (copy.data == nullptr || !parse_decimal(value) || add_header(r, "Retry-After", view(copy)) == nullptr)
            return NGX_ERROR;
    }
    return NGX_OK;
}

ngx_int_t end_header(ngx_http_request_t* r) noexcept {
    ngx_http_upstream_t& u = *r->upstream;
    const Exchange& exchange = exchange_of(r);
    if (u.headers_in.status_n == static_cast<ngx_uint_t>(sidecar::kSecretRefused)) {
        warn_of_refused_secret();
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
    if (u.headers_in.chunked != 0) u.headers_in.content_length_n = -1;
    if (u.headers_in.chunked == 0 && u.headers_in.content_length_n < 0 && r->method != NGX_HTTP_HEAD)
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;  // its end would not be told from a cut
    if (r->method == NGX_HTTP_HEAD || u.headers_in.content_length_n == 0) allow_keeping(u);
    if (u.headers_in.status_n == NGX_HTTP_OK && exchange.filename.len != 0 &&
        add_header(r, "Content-Disposition", view(exchange.filename)) == nullptr)
        return NGX_ERROR;
    return NGX_OK;
}

ngx_int_t read_header(ngx_http_request_t* r) noexcept {
    for (;;) {
        const ngx_int_t rc = ngx_http_parse_header_line(r, &r->upstream->buffer, 1);
        if (rc == NGX_HTTP_PARSE_HEADER_DONE) return end_header(r);
        if (rc == NGX_AGAIN) return NGX_AGAIN;
        if (rc != NGX_OK) return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        if (const ngx_int_t field = read_field(r); field != NGX_OK) return field;
    }
}

ngx_int_t read_status_line(ngx_http_request_t* r) noexcept {
    ngx_http_status_t& status = exchange_of(r).status;
    ngx_http_upstream_t& u = *r->upstream;
    const ngx_int_t rc = ngx_http_parse_status_line(r, &u.buffer, &status);
    if (rc == NGX_AGAIN) return NGX_AGAIN;
    if (rc != NGX_OK) return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    if (u.state != nullptr && u.state->status == 0) u.state->status = status.code;
    u.headers_in.status_n = status.code;  // nginx writes the phrase that belongs to it
    u.process_header = read_header;
    return read_header(r);
}

ngx_http_request_t* r_of(const ngx_event_pipe_t* pipe) noexcept {
    return static_cast<ngx_http_request_t*>(pipe->input_ctx);
}

// A body of known length.
ngx_int_t copy_whole(ngx_event_pipe_t* pipe, ngx_buf_t* buffer) noexcept {
    const ngx_int_t rc = ngx_event_pipe_copy_input_filter(pipe, buffer);
    if (rc == NGX_OK && pipe->length == 0 && pipe->upstream_done == 0) allow_keeping(*r_of(pipe)->upstream);
    return rc;
}

ngx_int_t begin_body(void* data) noexcept {
    auto* r = static_cast<ngx_http_request_t*>(data);
    ngx_http_upstream_t& u = *r->upstream;
    if (u.headers_in.chunked != 0) {
        u.pipe->input_filter = read_chunks;
        u.pipe->length = kShortestChunkedBody;
        return NGX_OK;
    }
    u.pipe->input_filter = copy_whole;
    u.pipe->length = u.headers_in.content_length_n;
    if (u.pipe->length == 0) allow_keeping(u);
    return NGX_OK;
}

void abort_request(ngx_http_request_t*) noexcept {}
void finalize_request(ngx_http_request_t*, ngx_int_t) noexcept {}

Exchange* make_exchange(ngx_http_request_t* r, const ContentRequest& request) noexcept {
    auto* exchange = static_cast<Exchange*>(ngx_pcalloc(r->pool, sizeof(Exchange)));
    if (exchange == nullptr) return nullptr;
    exchange->head = request.head;
    exchange->filename = request.filename;
    exchange->has_body = request.has_body;
    return exchange;
}

}  // namespace

SidecarFraming& framing_of(ngx_http_request_t* r) noexcept {
    return exchange_of(r).framing;
}

ngx_int_t ask_sidecar(ngx_http_request_t* r, const LocationConf& conf, const ContentRequest& request) {
    if (ngx_http_upstream_create(r) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_http_upstream_t& u = *r->upstream;
    u.conf = conf.sidecar;
    u.input_filter_ctx = make_exchange(r, request);
    u.pipe = static_cast<ngx_event_pipe_t*>(ngx_pcalloc(r->pool, sizeof(ngx_event_pipe_t)));
    if (u.input_filter_ctx == nullptr || u.pipe == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    u.pipe->input_ctx = r;
    u.pipe->input_filter = copy_whole;
    u.output.tag = reinterpret_cast<ngx_buf_tag_t>(&ngx_http_api_key_module);
    u.create_request = create_request;
    u.reinit_request = reinit_request;
    u.process_header = read_status_line;
    u.abort_request = abort_request;
    u.finalize_request = finalize_request;
    u.input_filter_init = begin_body;
    u.buffering = 1;
    r->state = 0;
    if (request.streams_body) r->request_body_no_buffering = 1;
    const ngx_int_t rc = ngx_http_read_client_request_body(r, ngx_http_upstream_init);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

ngx_http_upstream_conf_t* make_sidecar_upstream(ngx_conf_t* cf, ngx_http_upstream_srv_conf_t* peer, bool is_import) {
    auto* conf = static_cast<ngx_http_upstream_conf_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_http_upstream_conf_t)));
    if (conf == nullptr) throw std::bad_alloc();
    const auto& core =
        *static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    conf->upstream = peer;
    conf->connect_timeout = kConnectTimeout;
    conf->send_timeout = kSendTimeout;
    conf->read_timeout = is_import ? kImportTimeout : kReadTimeout;
    conf->next_upstream = NGX_HTTP_UPSTREAM_FT_ERROR;  // a kept connection that is none any more
    conf->buffer_size = kHeaderBytes;
    conf->bufs = {kBuffers, kBufferBytes};
    conf->busy_buffers_size = 2 * kBufferBytes;
    conf->max_temp_file_size = kMostTempFile;
    conf->temp_file_write_size = 2 * kBufferBytes;
    conf->temp_path = core.client_body_temp_path;  // nginx makes it, with the right owner, in any case
    conf->buffering = 1;
    conf->pass_request_body = 1;
    conf->module = borrowed("api_key");
    return conf;
}

}  // namespace apikey::ngx
