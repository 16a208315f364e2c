#include "sidecar/exports/copy_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "core/copy_escapes.hpp"
#include "core/json_string.hpp"

namespace apikey {
namespace {

// By byte: whether it stands in a JSON string, and in COPY's text, as it is.
constexpr std::array<bool, 256> kPlainInJson = [] {
    std::array<bool, 256> plain{};
    for (std::size_t byte = 0x20; byte < plain.size(); ++byte)
        plain[byte] = byte != '"' && byte != '\\';
    return plain;
}();

// The length of what begins `text` and is plain.
std::size_t plain_run(std::string_view text) noexcept {
    const auto* found =
        std::find_if(text.begin(), text.end(), [](char c) { return !kPlainInJson[static_cast<unsigned char>(c)]; });
    return static_cast<std::size_t>(found - text.begin());
}

// Whether it begins as a formula does, some ' aside. TAB and CR are escaped here.
bool is_formula(std::string_view column) noexcept {
    const std::size_t begin = column.find_first_not_of('\'');
    if (begin == std::string_view::npos) return false;
    const std::string_view rest = column.substr(begin);
    return std::string_view("=+-@").find(rest.front()) != std::string_view::npos || rest.starts_with("\\t") ||
           rest.starts_with("\\r");
}

bool is_small_integer(std::string_view digits) noexcept {
    constexpr std::size_t kFits = 18;  // the sum of two has room in 64 bits
    return digits.size() <= kFits && digits.find('.') == std::string_view::npos;
}

std::uint64_t value_of(std::string_view digits) noexcept {
    std::uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

// The digits of `number` times 10^decimals, which it has no more of.
std::string digits_of(std::string_view number, std::size_t decimals) {
    const std::size_t point = std::min(number.find('.'), number.size());
    std::string digits(number.substr(0, point));
    const std::string_view fraction = point < number.size() ? number.substr(point + 1) : std::string_view();
    digits += fraction;
    digits.append(decimals - fraction.size(), '0');
    return digits;
}

// The one at 10^i.
int digit(std::string_view digits, std::size_t i) noexcept {
    return i < digits.size() ? digits[digits.size() - 1 - i] - '0' : 0;
}

}  // namespace

void append_plain(std::string& out, std::string_view column) {
    for (std::size_t at = column.find('\\'); at != std::string_view::npos && at + 1 < column.size();
         at = column.find('\\')) {
        out += column.substr(0, at);
        out += copy_unescaped(column[at + 1]);
        column.remove_prefix(at + 2);
    }
    out += column;
}

// COPY's escapes are JSON's, but for \v.
void append_as_json(std::string& out, std::string_view column) {
    out += '"';
    for (;;) {
        const std::size_t run = plain_run(column);
        out += column.substr(0, run);
        column.remove_prefix(run);
        if (column.empty()) break;
        if (column.front() == '\\' && column.size() > 1) {
            if (column[1] == 'v') {
                append_unicode_escape(out, '\v');
            } else {
                out += column.substr(0, 2);
            }
            column.remove_prefix(2);
            continue;
        }
        if (column.front() == '"') {
            out += "\\\"";
        } else {
            append_unicode_escape(out, column.front());
        }
        column.remove_prefix(1);
    }
    out += '"';
}

void append_as_csv(std::string& out, std::string_view column) {
    const bool escaped = column.find('\\') != std::string_view::npos;
    const bool formula = is_formula(column);
    // A backslash alone may be the end of the data for Postgres before 18, and some readers strip blanks.
    const bool quoted = column.empty() || escaped || column.find_first_of(",\"") != std::string_view::npos ||
                        column.front() == ' ' || column.back() == ' ';
    if (quoted) out += '"';
    if (formula) out += '\'';
    if (!quoted) {
        out += column;
        return;
    }
    for (std::size_t i = 0; i < column.size(); ++i) {
        if (column[i] == '"') out += '"';
        const bool escape = column[i] == '\\' && i + 1 < column.size();
        out += escape ? copy_unescaped(column[++i]) : column[i];
    }
    out += '"';
}

void append_time(std::string& out, std::string_view column) {
    const std::size_t blank = column.find(' ');
    const std::size_t zone = column.find("+00", blank == std::string_view::npos ? 0 : blank);
    if (blank == std::string_view::npos || zone == std::string_view::npos) {
        out += column;
        return;
    }
    out += column.substr(0, blank);
    out += 'T';
    out += column.substr(blank + 1, zone - blank - 1);
    out += 'Z';
    out += column.substr(zone + 3);  // " BC"
}

void append_trimmed(std::string& out, std::string_view digits) {
    if (digits.find('.') != std::string_view::npos) {
        digits = digits.substr(0, digits.find_last_not_of('0') + 1);
        if (digits.back() == '.') digits.remove_suffix(1);
    }
    out += digits;
}

void append_sum(std::string& out, std::string_view one, std::string_view other) {
    if (is_small_integer(one) && is_small_integer(other)) {
        std::array<char, 24> text{};
        const auto end = std::to_chars(text.data(), text.data() + text.size(), value_of(one) + value_of(other)).ptr;
        out.append(text.data(), end);
        return;
    }
    const auto decimals_of = [](std::string_view number) {
        const std::size_t point = number.find('.');
        return point == std::string_view::npos ? 0 : number.size() - point - 1;
    };
    const std::size_t decimals = std::max(decimals_of(one), decimals_of(other));
    const std::string left = digits_of(one, decimals);
    const std::string right = digits_of(other, decimals);
    std::string reversed;
    int carry = 0;
    for (std::size_t i = 0; i < std::max(left.size(), right.size()) || carry != 0; ++i) {
        if (i == decimals && decimals != 0) reversed += '.';
        const int sum = digit(left, i) + digit(right, i) + carry;
        reversed += static_cast<char>('0' + sum % 10);
        carry = sum / 10;
    }
    out.append(reversed.rbegin(), reversed.rend());
}

}  // namespace apikey
