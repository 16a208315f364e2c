// RESP2 read by the letter of https://redis.io/docs/reference/protocol-spec: what hiredis lets pass is none.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apikey::test {

class StrictReplies {
  public:
    enum class End { whole, damaged, unclear };

    // All replies that begin before the damage; a last one that is not complete is none.
    explicit StrictReplies(std::string_view stream) : rest_(stream) {
        while (!rest_.empty()) {
            auto reply = read(0);
            if (!reply) return;
            replies.push_back(std::move(*reply));
        }
    }

    std::vector<std::string> replies;  // as describe() writes them
    End end = End::whole;              // unclear: what we leave to hiredis, as how deep arrays may nest

  private:
    static constexpr int kMostDepth = 6;
    static constexpr std::int64_t kMostElements = 1'000;

    std::optional<std::string> stop(End how) {
        end = how;
        return std::nullopt;
    }

    // Without its type and line end, neither of which may stand in it.
    std::optional<std::string> line() {
        const std::size_t at = rest_.find("\r\n");
        if (at == std::string_view::npos) return std::nullopt;
        const std::string text(rest_.substr(1, at - 1));
        rest_.remove_prefix(at + 2);
        if (text.find_first_of("\r\n") != std::string::npos) return stop(End::damaged);
        return text;
    }

    std::optional<std::int64_t> number(const std::string& text) {
        std::int64_t value = 0;
        const auto [stop_at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc{} && stop_at == text.data() + text.size() && std::to_string(value) == text) return value;
        stop(End::unclear);
        return std::nullopt;
    }

    std::optional<std::string> read(int depth) {
        if (rest_.empty()) return std::nullopt;
        const char type = rest_.front();
        if (std::string_view("+-:$*").find(type) == std::string_view::npos) return stop(End::damaged);
        const auto text = line();
        if (!text) return std::nullopt;
        if (type == '+' || type == '-') return type + *text;
        const auto value = number(*text);
        if (!value) return std::nullopt;
        if (type == ':') return ':' + *text;
        if (*value == -1) return "nil";
        if (*value < 0) return stop(End::damaged);
        return type == '$' ? bulk(static_cast<std::size_t>(*value)) : array(*value, depth);
    }

    std::optional<std::string> bulk(std::size_t length) {
        if (length > rest_.size() || rest_.size() - length < 2) return std::nullopt;
        if (rest_.substr(length, 2) != "\r\n") return stop(End::damaged);
        std::string text = '"' + std::string(rest_.substr(0, length)) + '"';
        rest_.remove_prefix(length + 2);
        return text;
    }

    std::optional<std::string> array(std::int64_t elements, int depth) {
        if (depth == kMostDepth || elements > kMostElements) return stop(End::unclear);
        std::string all = "[";
        for (std::int64_t n = 0; n < elements; ++n) {
            const auto element = read(depth + 1);
            if (!element) return std::nullopt;
            all += (n > 0 ? " " : "") + *element;
        }
        return all + ']';
    }

    std::string_view rest_;
};

}  // namespace apikey::test
