// What Postgres' COPY reads in its text format (https://www.postgresql.org/docs/15/sql-copy.html, "Text Format"), written as
// that page says it and not as our code does: the fields of each line, nothing for NULL.
#pragma once

#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apikey::test {

using CopyFields = std::vector<std::optional<std::string>>;

// One field: \N alone is NULL; \b \f \n \r \t \v, up to three octal digits, x and up to two hex digits; any other byte
// behind a backslash stands for itself.
inline std::optional<std::string> read_copy_field(std::string_view raw) {
    if (raw == "\\N") return std::nullopt;
    constexpr std::string_view kLetters = "bfnrtv";
    constexpr std::string_view kBytes = "\b\f\n\r\t\v";
    std::string field;
    for (std::size_t at = 0; at < raw.size(); ++at) {
        if (raw[at] != '\\' || at + 1 == raw.size()) {
            field += raw[at];
            continue;
        }
        const char behind = raw[++at];
        const auto digits = [&](std::size_t begin, std::size_t most, auto is_digit) {
            std::size_t count = 0;
            while (count < most && begin + count < raw.size() &&
                   is_digit(static_cast<unsigned char>(raw[begin + count])))
                ++count;
            return std::string(raw.substr(begin, count));
        };
        const std::string octal = digits(at, 3, [](unsigned char c) { return c >= '0' && c <= '7'; });
        const std::string hex =
            behind == 'x' ? digits(at + 1, 2, [](unsigned char c) { return std::isxdigit(c) != 0; }) : "";
        if (!octal.empty()) {
            field += static_cast<char>(std::stoi(octal, nullptr, 8));
            at += octal.size() - 1;
        } else if (!hex.empty()) {
            field += static_cast<char>(std::stoi(hex, nullptr, 16));
            at += hex.size();
        } else {
            const std::size_t letter = kLetters.find(behind);
            field += letter == std::string_view::npos ? behind : kBytes[letter];
        }
    }
    return field;
}

// All lines up to the end of the text or to \. alone on its line. Nothing where COPY finds fault with the lines themselves: a \.
// among other bytes, line ends of more than one kind. What a column's type says of its field is another matter.
inline std::optional<std::vector<CopyFields>> read_copy_lines(std::string_view text) {
    std::vector<CopyFields> lines;
    std::string raw;  // of a field
    CopyFields line;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char byte = text[at];
        if (byte == '\r') return std::nullopt;
        if (byte == '\\' && at + 1 < text.size()) {
            if (text[at + 1] == '.') {
                const bool alone = raw.empty() && line.empty() && (at + 2 == text.size() || text[at + 2] == '\n');
                return alone ? std::optional(lines) : std::nullopt;
            }
            if (text[at + 1] == '\r') return std::nullopt;
            raw += byte;
            raw += text[++at];
            continue;
        }
        if (byte != '\t' && byte != '\n') {
            raw += byte;
            continue;
        }
        line.push_back(read_copy_field(raw));
        raw.clear();
        if (byte == '\t') continue;
        lines.push_back(line);
        line.clear();
    }
    if (!raw.empty() || !line.empty()) {
        line.push_back(read_copy_field(raw));
        lines.push_back(line);
    }
    return lines;
}

}  // namespace apikey::test
