#include "core/redis/handshake.hpp"

#include <algorithm>

namespace apikey::redis {

namespace {

constexpr std::size_t kMostWordChars = 120;

}  // namespace

std::vector<std::string_view> auth_command(std::string_view user, std::string_view password) {
    if (password.empty()) return {};
    if (user.empty()) return {"AUTH", password};
    return {"AUTH", user, password};
}

std::string_view run_id_of(const ReplyView& info) noexcept {
    return info.is(ReplyType::string) ? info_field(info.text(), "run_id") : std::string_view{};
}

std::string plain_words(std::string_view error_text) {
    if (error_code(error_text) == "NOPERM")
        return "NOPERM, its user may not do this; docs/operations.md lists the ACL that nginx needs";
    const auto is_plain = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ' ' || c == ',' || c == '.' || c == '-';
    };
    const auto* const end = std::find_if_not(error_text.begin(), error_text.end(), is_plain);
    return std::string(error_text.begin(), end).substr(0, kMostWordChars);
}

}  // namespace apikey::redis
