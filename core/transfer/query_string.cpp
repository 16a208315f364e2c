#include "core/transfer/query_string.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "core/bearer.hpp"
#include "core/byte_run.hpp"
#include "core/utf8.hpp"

namespace apikey {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";
constexpr std::size_t kShownBytes = 64;

// Nothing when it is no percent-encoded UTF-8, or has a NUL.
std::optional<std::string> decoded(std::string_view text) {
    std::string spaced(text);
    std::replace(spaced.begin(), spaced.end(), '+', ' ');
    std::string room(text.size(), '\0');
    const auto plain = percent_decode(spaced, room);
    if (!plain || !is_utf8(*plain) || plain->find('\0') != std::string_view::npos) return std::nullopt;
    return std::string(*plain);
}

bool is_unreserved(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void append_encoded(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (is_unreserved(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
    }
}

Error not_encoded(std::string_view name) {
    return Error{"the parameter " + quoted_for_message(name) + " is not percent-encoded UTF-8, or holds a NUL"};
}

}  // namespace

Result<QueryParameters> read_query(std::string_view query, std::span<const std::string_view> ignored) {
    if (query.size() > kMostQueryBytes) return Error{"the query is longer than 16 KiB"};
    QueryParameters parameters;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view piece = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (piece.empty()) continue;
        const std::size_t equals = std::min(piece.find('='), piece.size());
        auto name = decoded(piece.substr(0, equals));
        if (!name) return not_encoded(piece.substr(0, equals));
        if (std::find(ignored.begin(), ignored.end(), *name) != ignored.end()) continue;
        auto value = decoded(piece.substr(std::min(equals + 1, piece.size())));
        if (!value) return not_encoded(*name);
        for (const QueryParameter& earlier : parameters)
            if (earlier.name == *name) return Error{"the parameter " + quoted_for_message(*name) + " stands twice"};
        parameters.push_back({std::move(*name), std::move(*value)});
    }
    return parameters;
}

std::string write_query(const QueryParameters& parameters) {
    std::string out;
    for (const QueryParameter& parameter : parameters) {
        if (!out.empty()) out += '&';
        append_encoded(out, parameter.name);
        out += '=';
        append_encoded(out, parameter.value);
    }
    return out;
}

std::string quoted_for_message(std::string_view text) {
    std::array<char, kShownBytes> room{};
    return "\"" + without_control_bytes(std::string(clean_utf8(text, room))) +
           (text.size() > kShownBytes ? "..." : "") + "\"";
}

}  // namespace apikey
