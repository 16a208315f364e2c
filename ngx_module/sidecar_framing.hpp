// The chunks (RFC 9112 §7.1) of a request to apikeyd and of its answer, in nginx's chains of buffers.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Of one exchange; plain data in the request's pool.
struct SidecarFraming {
    ngx_http_chunked_t chunked;  // how far the answer's chunks are read
    ngx_chain_t* free;           // buffers of chunk lines, for use again
    ngx_chain_t* busy;           // and those under way
    bool head_sent;              // of the request
};

// ngx_http_upstream_t::output.output_filter, with the request as its context: everything behind the first buffer, which is the head, goes
// out in chunks. `framing_of(r)` is where the exchange keeps its state.
ngx_int_t write_in_chunks(void* data, ngx_chain_t* in) noexcept;

// ngx_event_pipe_t::input_filter: what is in the chunks of `buffer` becomes the pipe's input, without copying.
ngx_int_t read_chunks(ngx_event_pipe_t* pipe, ngx_buf_t* buffer) noexcept;

SidecarFraming& framing_of(ngx_http_request_t* r) noexcept;

// How much must come at least until the answer can be over: pipe->length before any chunk.
inline constexpr off_t kShortestChunkedBody = 5;  // "0" CRLF CRLF

}  // namespace apikey::ngx
