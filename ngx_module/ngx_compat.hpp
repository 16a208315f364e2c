// What differs between the nginx versions we build for (1.22 to mainline). Nowhere else is a version tested.
#pragma once

#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// Since 1.23 header lines of one name are linked, and nginx follows `next`: it must be initialised.
inline void end_header_line(ngx_table_elt_t* line) noexcept {
#if (nginx_version >= 1023000)
    line->next = nullptr;
#else
    static_cast<void>(line);
#endif
}

// Over HTTP/3 (1.25 and newer) a client gives up a request that it has sent whole by STOP_SENDING alone, which nginx tells of as an
// error of writing, never of reading.
inline bool wants_no_answer(const ngx_connection_t* c) noexcept {
#if (nginx_version >= 1025000 && (NGX_QUIC || NGX_COMPAT))
    return c->quic != nullptr && c->write->error != 0;
#else
    static_cast<void>(c);
    return false;
#endif
}

// Since 1.27.2 it can keep trailers.
inline ngx_int_t parse_chunked(ngx_http_request_t* r, ngx_buf_t* buffer, ngx_http_chunked_t& chunked) noexcept {
#if (nginx_version >= 1027002)
    return ngx_http_parse_chunked(r, buffer, &chunked, 0);
#else
    return ngx_http_parse_chunked(r, buffer, &chunked);
#endif
}

}  // namespace apikey::ngx
