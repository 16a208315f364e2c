// The refusal: status, challenge, and the problem document in place of nginx's own page.
#pragma once

#include "ngx_module/conf.hpp"
#include "ngx_module/request_ctx.hpp"

namespace apikey::ngx {

// Prepares the answer for ctx.verdict (anything but valid): gives the status for the access handler to return, so that
// error_page and satisfy work, and remembers it for the filters. `for_scope`: the challenge where a scope is missing; null: the
// location's.
ngx_int_t refuse(RequestCtx& ctx, const LocationConf& conf, const ngx_str_t* for_scope = nullptr) noexcept;

// The request passed after all (`satisfy any`): nothing of the refusal may be seen. Does nothing once an error_page
// has taken over.
void withdraw_refusal(RequestCtx& ctx) noexcept;

// Puts our filters into nginx's chains (postconfiguration of the filter module).
void install_answer_filters() noexcept;

}  // namespace apikey::ngx
