// Texts as JSON strings (RFC 8259 §7).
#pragma once

#include <string>
#include <string_view>

namespace apikey {

// Appends \u00XX for a byte of ASCII.
inline void append_unicode_escape(std::string& out, char c) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    out += "\\u00";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
}

// Appends `text`, which must be UTF-8, in quotes; what JSON does not allow in a string is escaped, everything else stays as it is.
inline void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) >= 0x20) {
                    out += c;
                } else {
                    append_unicode_escape(out, c);
                }
        }
    }
    out += '"';
}

}  // namespace apikey
