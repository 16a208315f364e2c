#include "core/redis/change.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/decimal.hpp"

namespace apikey::redis {
namespace {

constexpr std::size_t kRandomHexChars = 16;

bool is_name_byte(char c) noexcept {
    return c > ' ' && c <= '~';
}

}  // namespace

std::optional<Change> parse_change(std::string_view payload) noexcept {
    const auto space = payload.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const std::string_view what = payload.substr(0, space);
    const auto receipt = parse_decimal(payload.substr(space + 1));
    if (!receipt) return std::nullopt;
    if (what == "*") return Change{std::nullopt, *receipt};
    const auto key = from_hex(what);
    if (!key) return std::nullopt;
    return Change{key, *receipt};
}

std::string format_change(std::string_view hash, Receipt receipt) {
    return (hash.empty() ? "*" : std::string(hash)) + " " + std::to_string(receipt);
}

std::optional<Confirmation> parse_confirmation(std::string_view payload) noexcept {
    const auto space = payload.find(' ');
    if (space == std::string_view::npos || space == 0 || space > kMaxWorkerBytes) return std::nullopt;
    const std::string_view worker = payload.substr(0, space);
    const auto receipt = parse_decimal(payload.substr(space + 1));
    if (!receipt || *receipt == kNobodyWaits || !std::all_of(worker.begin(), worker.end(), is_name_byte)) {
        return std::nullopt;
    }
    return Confirmation{worker, *receipt};
}

std::string format_confirmation(std::string_view worker, Receipt receipt) {
    return std::string(worker) + " " + std::to_string(receipt);
}

std::string worker_name(std::string_view host, std::uint64_t pid, std::uint64_t random) {
    std::string name(host.substr(0, kMaxHostBytes));
    std::replace_if(name.begin(), name.end(), [](char c) { return !is_name_byte(c); }, '-');
    std::array<char, kRandomHexChars> digits{};
    const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), random, 16).ptr;
    const auto count = static_cast<std::size_t>(end - digits.data());
    name += ":" + std::to_string(pid) + ":" + std::string(kRandomHexChars - count, '0');
    return name.append(digits.data(), count);
}

}  // namespace apikey::redis
