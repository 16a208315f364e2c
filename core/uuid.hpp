// The text form of a UUID (RFC 9562 §4), as Postgres writes the ids of keys.
#pragma once

#include <cstddef>
#include <string_view>

namespace apikey {

// 8-4-4-4-12 hex digits of either case, whatever the version.
inline bool is_uuid(std::string_view text) noexcept {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex) return false;
    }
    return true;
}

}  // namespace apikey
