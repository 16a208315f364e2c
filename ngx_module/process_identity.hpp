// A process as the owner of something that outlives it: its pid and when it started, because pids come again.
#pragma once

#include "core/usage/usage_slot.hpp"
#include "ngx_module/ngx.hpp"

namespace apikey::ngx {

// This process. Reads /proc; without it, the start time is left out.
[[nodiscard]] usage::Owner this_process() noexcept;

// Does that process still run? One that was killed and that its parent has not yet seen does not. Reads /proc.
[[nodiscard]] bool is_running(usage::Owner owner) noexcept;

}  // namespace apikey::ngx
