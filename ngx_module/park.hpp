// A request that waits for Redis: how it is put aside, how it leaves, how it goes on.
#pragma once

#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

// Puts the request aside: NGX_AGAIN for the access phase to return, or NGX_ERROR. A client that hangs up ends it as 499.
ngx_int_t park(RequestCtx& ctx) noexcept;

// Hands a finished lookup to its request and lets it go on. The request may be gone afterwards: touch nothing of it.
void resume(RequestCtx& ctx, const redis::LookupSession::Lookup& lookup) noexcept;

}  // namespace apikey::ngx
