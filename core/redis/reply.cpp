#include "core/redis/reply.hpp"

#include <algorithm>

#include "core/decimal.hpp"

namespace apikey::redis {
namespace {

constexpr std::size_t kMaxCodeChars = 24;
constexpr std::uint64_t kMostSeconds = 1'000'000'000'000;
constexpr std::uint64_t kMicros = 1'000'000;  // in a second

}  // namespace

std::string_view ReplyView::text() const noexcept {
    if (!is_text() && !is(ReplyType::error)) return {};
    return std::string_view(reply_->bytes).substr(node().offset, node().length);
}

std::size_t ReplyView::after() const noexcept {
    std::size_t at = node_;
    for (std::size_t open = 1; open > 0; --open)
        open += reply_->nodes[at++].elements;
    return at;
}

ReplyView ReplyView::operator[](std::size_t index) const noexcept {
    ReplyView element(*reply_, node_ + 1);
    for (; index > 0; --index)
        element.node_ = element.after();
    return element;
}

std::string_view info_field(std::string_view info, std::string_view field) noexcept {
    for (std::size_t at = 0; at < info.size();) {
        const std::size_t end = std::min(info.find("\r\n", at), info.size());
        const std::string_view line = info.substr(at, end - at);
        if (line.size() > field.size() && line.starts_with(field) && line[field.size()] == ':') {
            return line.substr(field.size() + 1);
        }
        at = end + 2;
    }
    return {};
}

std::optional<std::int64_t> micros_of_time(const ReplyView& reply) noexcept {
    if (reply.size() != 2) return std::nullopt;
    const auto seconds = parse_decimal(reply[0].text());
    const auto micros = parse_decimal(reply[1].text());
    if (!seconds || !micros || *seconds > kMostSeconds || *micros >= kMicros) return std::nullopt;
    return static_cast<std::int64_t>(*seconds * kMicros + *micros);
}

std::string_view error_code(std::string_view error_text) noexcept {
    const std::string_view word = error_text.substr(0, error_text.find(' '));
    const bool looks_like_one = !word.empty() && word.size() <= kMaxCodeChars &&
                                std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    return looks_like_one ? word : "ERR";
}

}  // namespace apikey::redis
