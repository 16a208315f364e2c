#include "ngx_module/send_text.hpp"

#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

void set_body_header(ngx_http_request_t* r, std::string_view media_type, std::size_t bytes) noexcept {
    r->headers_out.content_type = borrowed(media_type);
    r->headers_out.content_type_len = media_type.size();
    r->headers_out.content_type_lowcase = nullptr;
    r->headers_out.content_length_n = static_cast<off_t>(bytes);
}

ngx_chain_t* whole_body(ngx_http_request_t* r, std::string_view text) noexcept {
    auto* buffer = static_cast<ngx_buf_t*>(ngx_calloc_buf(r->pool));
    ngx_chain_t* body = ngx_alloc_chain_link(r->pool);
    if (buffer == nullptr || body == nullptr) return nullptr;
    const ngx_str_t bytes = borrowed(text);
    buffer->start = buffer->pos = bytes.data;
    buffer->end = buffer->last = bytes.data + bytes.len;
    buffer->memory = 1;
    buffer->last_buf = r == r->main ? 1 : 0;
    buffer->last_in_chain = 1;
    body->buf = buffer;
    body->next = nullptr;
    return body;
}

ngx_int_t send_text(ngx_http_request_t* r, ngx_uint_t status, std::string_view media_type,
                    std::string_view text) noexcept {
    r->headers_out.status = status;
    set_body_header(r, media_type, text.size());
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only != 0) return rc;
    ngx_chain_t* body = whole_body(r, text);
    return body != nullptr ? ngx_http_output_filter(r, body) : NGX_ERROR;
}

}  // namespace apikey::ngx
