#include "sidecar/keys/key_input.hpp"

#include <algorithm>
#include <optional>

#include "core/byte_run.hpp"
#include "core/iso_time.hpp"
#include "core/key_facts.hpp"
#include "core/policy.hpp"
#include "sidecar/duration.hpp"

namespace apikey {
namespace {

using std::chrono::sys_seconds;

struct Sequence {
    std::size_t length;   // bytes; 0: no UTF-8
    std::uint32_t least;  // the smallest code point that needs so many
};

Sequence sequence_of(unsigned char first) {
    if (first < 0x80) return {1, 0};
    if (first >= 0xC2 && first < 0xE0) return {2, 0x80};
    if (first >= 0xE0 && first < 0xF0) return {3, 0x800};
    if (first >= 0xF0 && first < 0xF5) return {4, 0x10000};
    return {0, 0};
}

// The number of characters; nothing when it is no UTF-8.
std::optional<std::size_t> characters(std::string_view text) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++count) {
        const auto first = static_cast<unsigned char>(text[i]);
        const auto [length, least] = sequence_of(first);
        if (length == 0 || i + length > text.size()) return std::nullopt;
        std::uint32_t point = length == 1 ? first : first & (0x7FU >> length);
        for (std::size_t j = 1; j < length; ++j) {
            const auto next = static_cast<unsigned char>(text[i + j]);
            if ((next & 0xC0U) != 0x80U) return std::nullopt;
            point = (point << 6U) | (next & 0x3FU);
        }
        const bool surrogate = point >= 0xD800 && point < 0xE000;
        if (point < least || point > 0x10FFFF || surrogate) return std::nullopt;
        i += length;
    }
    return count;
}

// A date, or a time in UTC; a key ends with a whole second.
std::optional<sys_seconds> parse_time(std::string_view text) {
    const auto time = parse_iso_time(text);
    if (!time || (!time->whole_day && !text.ends_with('Z'))) return std::nullopt;
    return std::chrono::floor<std::chrono::seconds>(time->at);
}

}  // namespace

Result<std::string> check_name(std::string_view text) {
    const auto length = characters(text);
    if (!length || has_control_byte(text)) {
        return Error{"the name must be UTF-8 without control characters"};
    }
    if (*length == 0 || *length > kMaxNameChars) {
        return Error{"the name must have 1 to 200 characters"};
    }
    return std::string(text);
}

Result<std::string> check_user(std::string_view text) {
    if (!characters(text) || has_control_byte(text)) {
        return Error{"the user must be UTF-8 without control characters"};
    }
    if (text.empty() || text.size() > kMaxFieldBytes) {
        return Error{"the user must have 1 to 4096 bytes"};
    }
    return std::string(text);
}

Result<std::vector<std::string>> check_scopes(const std::vector<std::string>& scopes) {
    std::vector<std::string> checked;
    std::size_t bytes = 0;
    for (const std::string& scope : scopes) {
        if (!valid_scope(scope)) {
            return Error{"a scope must be printable ASCII without spaces, quotes and backslashes"};
        }
        if (std::find(checked.begin(), checked.end(), scope) != checked.end()) continue;
        bytes += scope.size() + 1;
        checked.push_back(scope);
    }
    if (bytes > kMaxFieldBytes) return Error{"the scopes together must stay below 4096 bytes"};
    return checked;
}

Result<sys_seconds> parse_expiry(std::string_view text, sys_seconds now) {
    std::optional<sys_seconds> end = parse_time(text);
    if (!end) {
        const auto duration = parse_duration(text);
        if (!duration) {
            return Error{"\"" + std::string(text) +
                         "\" is no time to end at; write a duration (30d), a date (2027-01-01) or a "
                         "time in UTC (2027-01-01T12:00:00Z)"};
        }
        end = now + *duration;
    }
    if (*end <= now) return Error{"\"" + std::string(text) + "\" is not in the future"};
    return *end;
}

}  // namespace apikey
