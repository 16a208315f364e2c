#include "tests/bulk_client/answer.hpp"

#include <strings.h>

#include <charconv>
#include <stdexcept>
#include <string>

namespace apikey::bulk {

namespace {

constexpr std::string_view kVersion = "HTTP/1.1 ";
constexpr std::string_view kEndOfHead = "\r\n\r\n";

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

bool is_called(std::string_view name, std::string_view wanted) {
    return name.size() == wanted.size() && strncasecmp(name.data(), wanted.data(), wanted.size()) == 0;
}

[[noreturn]] void refuse(std::string_view head) {
    throw std::runtime_error("no answer of HTTP/1.1 with a length: " + std::string(head.substr(0, 200)));
}

}  // namespace

std::optional<Answer> read_answer(std::string_view bytes) {
    const std::size_t end = bytes.find(kEndOfHead);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view head = bytes.substr(0, end + 2);
    Answer answer;
    if (!head.starts_with(kVersion) || !read_number(head.substr(kVersion.size(), 3), answer.status)) refuse(head);
    std::optional<std::size_t> length;
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
        const std::string_view line = head.substr(at, head.find("\r\n", at) - at);
        at += line.size() + 2;
        const std::size_t colon = line.find(": ");
        if (colon == std::string_view::npos) continue;
        const std::string_view name = line.substr(0, colon), value = line.substr(colon + 2);
        if (is_called(name, "Content-Length")) read_number(value, length.emplace());
        if (is_called(name, "X-Nonce")) answer.nonce = value;
        if (is_called(name, "X-Seen-Nonce")) answer.seen_nonce = value;
        if (is_called(name, "Connection")) answer.closes = is_called(value, "close");
    }
    if (!length) refuse(head);
    const std::size_t begin = end + kEndOfHead.size();
    if (bytes.size() - begin < *length) return std::nullopt;
    answer.body = bytes.substr(begin, *length);
    answer.size = begin + *length;
    return answer;
}

}  // namespace apikey::bulk
