#include "sidecar/duration.hpp"

#include <cctype>
#include <charconv>
#include <optional>

namespace apikey {
namespace {

constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kMostSeconds = 36'500 * kDay;

struct Quantity {
    std::uint64_t number;
    std::string unit;  // lower case
};

// digits, then at most one space, then letters.
std::optional<Quantity> split(std::string_view text) {
    Quantity quantity{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quantity.number);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalpha(byte) == 0) return std::nullopt;
        quantity.unit += static_cast<char>(std::tolower(byte));
    }
    return quantity;
}

std::optional<std::int64_t> seconds_in(std::string_view unit) {
    if (unit == "s") return 1;
    if (unit == "m") return kMinute;
    if (unit == "h") return kHour;
    if (unit == "d") return kDay;
    return std::nullopt;
}

std::optional<int> shift_of(std::string_view unit) {
    if (unit.empty() || unit == "b") return 0;
    if (unit.size() == 3 && unit.substr(1) == "ib") unit = unit.substr(0, 1);
    if (unit == "k") return 10;
    if (unit == "m") return 20;
    if (unit == "g") return 30;
    if (unit == "t") return 40;
    return std::nullopt;
}

}  // namespace

Result<std::chrono::seconds> parse_duration(std::string_view text) {
    const Error wrong{"\"" + std::string(text) + "\" is no duration; write it like 3s, 15m, 24h, 30d"};
    const auto quantity = split(text);
    if (!quantity || text.find(' ') != std::string_view::npos) return wrong;
    const auto unit = seconds_in(quantity->unit);
    if (!unit) return wrong;
    if (quantity->number > static_cast<std::uint64_t>(kMostSeconds / *unit)) {
        return Error{"\"" + std::string(text) + "\" is longer than 100 years"};
    }
    return std::chrono::seconds(static_cast<std::int64_t>(quantity->number) * *unit);
}

Result<std::uint64_t> parse_size(std::string_view text) {
    const Error wrong{"\"" + std::string(text) + "\" is no size; write it in bytes or like 512k, 64m, 1g (1 GiB)"};
    const auto quantity = split(text);
    if (!quantity) return wrong;
    const auto shift = shift_of(quantity->unit);
    if (!shift) return wrong;
    if (quantity->number > (std::uint64_t{1} << (62 - *shift))) {
        return Error{"\"" + std::string(text) + "\" is larger than any file"};
    }
    return quantity->number << *shift;
}

std::string format_duration(std::chrono::seconds duration) {
    const std::int64_t count = duration.count();
    if (count != 0 && count % kDay == 0) return std::to_string(count / kDay) + "d";
    if (count != 0 && count % kHour == 0) return std::to_string(count / kHour) + "h";
    if (count != 0 && count % kMinute == 0) return std::to_string(count / kMinute) + "m";
    return std::to_string(count) + "s";
}

}  // namespace apikey
