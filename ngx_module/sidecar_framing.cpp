#include "ngx_module/sidecar_framing.hpp"

#include <string_view>

#include "ngx_module/ngx_compat.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr std::string_view kEndOfChunk = "\r\n";
constexpr std::string_view kEndOfLastChunk = "\r\n0\r\n\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::size_t kLongestSize = sizeof("0000000000000000\r\n") - 1;

ngx_buf_tag_t tag() noexcept {
    return reinterpret_cast<ngx_buf_tag_t>(&write_in_chunks);
}

// Appends links to a chain.
class ChainEnd {
  public:
    explicit ChainEnd(ngx_chain_t** where) noexcept : end_(where) { *end_ = nullptr; }
    void append(ngx_chain_t* link) noexcept {
        link->next = nullptr;
        *end_ = link;
        end_ = &link->next;
    }

  private:
    ngx_chain_t** end_;
};

// A link of ours; null: no memory.
ngx_chain_t* own_link(ngx_http_request_t* r) noexcept {
    ngx_chain_t* link = ngx_chain_get_free_buf(r->pool, &framing_of(r).free);
    if (link != nullptr) link->buf->tag = tag();
    return link;
}

ngx_chain_t* size_line(ngx_http_request_t* r, off_t size) noexcept {
    ngx_chain_t* link = own_link(r);
    if (link == nullptr) return nullptr;
    ngx_buf_t* b = link->buf;
    // A buffer used again may have been one of constant text, which has no room.
    if (b->start == nullptr || b->temporary == 0) {
        b->start = static_cast<u_char*>(ngx_palloc(r->pool, kLongestSize));
        if (b->start == nullptr) return nullptr;
        b->end = b->start + kLongestSize;
    }
    b->temporary = 1;
    b->memory = 0;
    b->last_buf = 0;
    b->pos = b->start;
    b->last = ngx_sprintf(b->start, "%xO\r\n", size);
    return link;
}

ngx_chain_t* constant(ngx_http_request_t* r, std::string_view text, bool last) noexcept {
    ngx_chain_t* link = own_link(r);
    if (link == nullptr) return nullptr;
    const ngx_str_t bytes = borrowed(text);
    link->buf->temporary = 0;
    link->buf->memory = 1;
    link->buf->last_buf = last ? 1 : 0;
    link->buf->pos = bytes.data;
    link->buf->last = bytes.data + bytes.len;
    return link;
}

bool has_something(const ngx_buf_t* b) noexcept {
    return b->flush != 0 || b->sync != 0 || ngx_buf_in_memory(b) || b->in_file != 0;
}

struct Body {
    off_t size;
    bool is_last;
};

Body measure(const ngx_chain_t* in) noexcept {
    Body body{0, false};
    for (; in != nullptr; in = in->next) {
        body.size += ngx_buf_size(in->buf);
        if (in->buf->last_buf != 0) body.is_last = true;
    }
    return body;
}

// The buffers of `in` that hold anything, in links of their own. The end is ours to tell.
bool append_copy(ngx_http_request_t* r, ChainEnd& out, ngx_chain_t* in) noexcept {
    for (; in != nullptr; in = in->next) {
        if (in->buf->last_buf != 0) in->buf->last_buf = 0;
        if (!has_something(in->buf)) continue;
        ngx_chain_t* link = ngx_alloc_chain_link(r->pool);
        if (link == nullptr) return false;
        link->buf = in->buf;
        out.append(link);
    }
    return true;
}

bool append_chunk(ngx_http_request_t* r, ChainEnd& out, ngx_chain_t* in) noexcept {
    const Body body = measure(in);
    if (body.size > 0) {
        ngx_chain_t* line = size_line(r, body.size);
        if (line == nullptr) return false;
        out.append(line);
    }
    if (!append_copy(r, out, in)) return false;
    std::string_view end = body.size > 0 ? kEndOfChunk : std::string_view{};
    if (body.is_last) end = body.size > 0 ? kEndOfLastChunk : kLastChunk;
    if (end.empty()) return true;
    ngx_chain_t* link = constant(r, end, body.is_last);
    if (link == nullptr) return false;
    out.append(link);
    return true;
}

// Puts a link of what is in the chunk behind the pipe's input. Null: no memory.
ngx_buf_t* append_input(ngx_event_pipe_t* pipe, const ngx_buf_t* from) noexcept {
    ngx_chain_t* link = ngx_chain_get_free_buf(pipe->pool, &pipe->free);
    if (link == nullptr) return nullptr;
    ngx_buf_t* b = link->buf;
    *b = ngx_buf_t{};
    b->pos = from->pos;
    b->start = from->start;
    b->end = from->end;
    b->tag = pipe->tag;
    b->temporary = 1;
    b->recycled = 1;
    b->num = from->num;
    link->next = nullptr;
    if (pipe->in != nullptr) {
        *pipe->last_in = link;
    } else {
        pipe->in = link;
    }
    pipe->last_in = &link->next;
    return b;
}

void end_of_answer(ngx_event_pipe_t* pipe, ngx_http_request_t* r, const ngx_buf_t* buffer) noexcept {
    pipe->length = 0;
    r->upstream->keepalive = buffer->pos == buffer->last && r->upstream->headers_in.connection_close == 0 ? 1 : 0;
}

}  // namespace

ngx_int_t write_in_chunks(void* data, ngx_chain_t* in) noexcept {
    auto* r = static_cast<ngx_http_request_t*>(data);
    SidecarFraming& framing = framing_of(r);
    ngx_chain_t* out = nullptr;
    if (in != nullptr) {
        ChainEnd end(&out);
        if (!framing.head_sent) {
            ngx_chain_t* head = ngx_alloc_chain_link(r->pool);
            if (head == nullptr) return NGX_ERROR;
            head->buf = in->buf;
            end.append(head);
            framing.head_sent = true;
            in = in->next;
        }
        if (in != nullptr && !append_chunk(r, end, in)) return NGX_ERROR;
    }
    const ngx_int_t rc = ngx_chain_writer(&r->upstream->writer, out);
    ngx_chain_update_chains(r->pool, &framing.free, &framing.busy, &out, tag());
    return rc;
}

ngx_int_t read_chunks(ngx_event_pipe_t* pipe, ngx_buf_t* buffer) noexcept {
    auto* r = static_cast<ngx_http_request_t*>(pipe->input_ctx);
    ngx_http_chunked_t& chunked = framing_of(r).chunked;
    if (buffer->pos == buffer->last || pipe->upstream_done != 0) return NGX_OK;
    if (pipe->length == 0) {  // more than the answer
        r->upstream->keepalive = 0;
        pipe->upstream_done = 1;
        return NGX_OK;
    }
    ngx_buf_t* last = nullptr;
    ngx_buf_t** shadow = &buffer->shadow;
    for (;;) {
        const ngx_int_t rc = parse_chunked(r, buffer, chunked);
        if (rc == NGX_DONE) {
            end_of_answer(pipe, r, buffer);
            break;
        }
        if (rc == NGX_AGAIN) {
            pipe->length = chunked.length;
            break;
        }
        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "api_key: apikeyd sent what are no chunks");
            return NGX_ERROR;
        }
        last = append_input(pipe, buffer);
        if (last == nullptr) return NGX_ERROR;
        *shadow = last;
        shadow = &last->shadow;
        const off_t here = ngx_min(static_cast<off_t>(buffer->last - buffer->pos), chunked.size);
        buffer->pos += here;
        last->last = buffer->pos;
        chunked.size -= here;
    }
    if (last == nullptr) return ngx_event_pipe_add_free_buf(pipe, buffer);
    last->shadow = buffer;
    last->last_shadow = 1;
    return NGX_OK;
}

}  // namespace apikey::ngx
