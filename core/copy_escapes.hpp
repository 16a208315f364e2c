// The escapes of COPY's text format (PostgreSQL's manual, COPY, "Text Format"): what nginx and imports write, and exports read.
#pragma once

namespace apikey {

// What stands behind a backslash for this byte; 0: the byte stands for itself.
constexpr char copy_escape_of(char byte) noexcept {
    switch (byte) {
        case '\\': return '\\';
        case '\t': return 't';
        case '\n': return 'n';
        case '\r': return 'r';
        case '\b': return 'b';
        case '\f': return 'f';
        case '\v': return 'v';
        default: return 0;
    }
}

// The byte that a backslash and this letter stand for.
constexpr char copy_unescaped(char letter) noexcept {
    switch (letter) {
        case 't': return '\t';
        case 'n': return '\n';
        case 'r': return '\r';
        case 'b': return '\b';
        case 'f': return '\f';
        case 'v': return '\v';
        default: return letter;
    }
}

}  // namespace apikey
