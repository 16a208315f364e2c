// Looks into the directory where nginx leaves usage that it could not ship before it stopped (api_key_spool). One file is one
// batch, <zone>-<slot>-<sequence>.usage; nginx ships and removes it when it runs again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace apikey {

struct UsageSpool {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::int64_t oldest = 0;   // when the oldest of them was written, unix s; 0: there is none
    std::uint64_t others = 0;  // that are no batches, by their names
};

// 32 lower-case hex digits, and two decimal numbers.
bool is_spool_file(std::string_view name) noexcept;

// Error: it is no directory, or cannot be read. A file that goes away meanwhile does not count.
Result<UsageSpool> look_into_spool(const std::string& directory);

}  // namespace apikey
