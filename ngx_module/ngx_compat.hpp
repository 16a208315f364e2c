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

}  // namespace apikey::ngx
