#include "core/usage/batch_text.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>

#include "core/byte_run.hpp"
#include "core/copy_escapes.hpp"
#include "core/decimal.hpp"

namespace apikey::usage {

namespace {

constexpr std::size_t kZoneDigits = 32;
constexpr std::uint64_t kCostUnit = 1'000'000'000'000;
constexpr std::size_t kCostPlaces = 12;

constexpr std::int64_t kMinuteMs = 60'000;
constexpr std::int64_t kDayMinutes = std::int64_t{60} * 24;
constexpr std::int64_t kLastDay = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31).time_since_epoch().count();
constexpr std::int64_t kLastMinute = (kLastDay + 1) * kDayMinutes - 1;
constexpr std::int64_t kLastMs = (kLastMinute + 1) * kMinuteMs - 1;

// No byte of it is to be escaped, nor a control byte. Eight at a time, the last ones perhaps twice.
bool is_plain(std::string_view text) noexcept {
    using Special = ControlsAnd<'\\'>;
    if (text.size() < 8) return run_before<Special>(text) == text.size();
    const auto marks_at = [&](std::size_t at) noexcept {
        std::uint64_t eight = 0;
        std::memcpy(&eight, text.data() + at, sizeof eight);
        return Special::marks(eight);
    };
    std::uint64_t marks = marks_at(text.size() - 8);
    for (std::size_t at = 0; at < text.size() - 8; at += 8)
        marks |= marks_at(at);
    return marks == 0;
}

template <std::size_t digits>
void write_digits(char* place, std::uint64_t value) noexcept {
    for (std::size_t at = digits; at-- > 0; value /= 10)
        place[at] = static_cast<char>('0' + value % 10);
}

// 2026-11-28T02:05
void write_minute(char* place, std::int64_t unix_minutes) noexcept {
    const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(unix_minutes / kDayMinutes))};
    const auto minute = static_cast<std::uint64_t>(unix_minutes % kDayMinutes);
    write_digits<4>(place, static_cast<std::uint64_t>(static_cast<int>(date.year())));
    place[4] = '-';
    write_digits<2>(place + 5, static_cast<unsigned>(date.month()));
    place[7] = '-';
    write_digits<2>(place + 8, static_cast<unsigned>(date.day()));
    place[10] = 'T';
    write_digits<2>(place + 11, minute / 60);
    place[13] = ':';
    write_digits<2>(place + 14, minute % 60);
}

bool is_zone(std::string_view text) noexcept {
    return text.size() == kZoneDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    const std::optional<std::uint64_t> number = parse_decimal(text);
    return number && *number >> 63 == 0 ? number : std::nullopt;
}

}  // namespace

std::string batch_text(const BatchId& id) {
    return id.zone + ' ' + std::to_string(id.slot) + ' ' + std::to_string(id.sequence);
}

std::optional<BatchId> parse_batch_id(std::string_view text) {
    const std::size_t first = std::min(text.find(' '), text.size());
    const std::size_t second = std::min(text.find(' ', first + 1), text.size());
    if (second == text.size() || !is_zone(text.substr(0, first))) return std::nullopt;
    const auto slot = parse_number(text.substr(first + 1, second - first - 1));
    const auto sequence = parse_number(text.substr(second + 1));
    if (!slot || !sequence) return std::nullopt;
    return BatchId{std::string(text.substr(0, first)), *slot, *sequence};
}

// Nearly all texts are plain.
LineWriter& LineWriter::text(std::string_view value) noexcept {
    if (is_plain(value)) return word(value);
    for (const char each : value) {
        const char escape = copy_escape_of(each);
        if (escape != 0) byte('\\');
        byte(escape != 0 ? escape : each);
    }
    return *this;
}

LineWriter& LineWriter::word(std::string_view value) noexcept {
    put(value.data(), value.size());
    return *this;
}

LineWriter& LineWriter::number(std::uint64_t value) noexcept {
    if (value < 10) return byte(static_cast<char>('0' + value));
    std::array<char, 20> digits;
    const auto [end, error] = std::to_chars(digits.begin(), digits.end(), value);
    put(digits.data(), static_cast<std::size_t>(end - digits.begin()));
    return *this;
}

LineWriter& LineWriter::cost(std::optional<std::uint64_t> cost) noexcept {
    if (!cost) return word("\\N");
    number(*cost / kCostUnit);
    if (*cost % kCostUnit == 0) return *this;
    std::array<char, 1 + kCostPlaces> fraction;
    fraction[0] = '.';
    write_digits<kCostPlaces>(fraction.data() + 1, *cost % kCostUnit);
    const std::string_view places(fraction.data(), fraction.size());
    return word(places.substr(0, places.find_last_not_of('0') + 1));
}

LineWriter& LineWriter::minute(std::int64_t unix_minutes) noexcept {
    put_minute(std::clamp<std::int64_t>(unix_minutes, 0, kLastMinute));
    return word(":00Z");
}

LineWriter& LineWriter::instant(std::int64_t unix_ms) noexcept {
    const std::int64_t when = std::clamp<std::int64_t>(unix_ms, 0, kLastMs);
    put_minute(when / kMinuteMs);
    const auto ms = static_cast<std::uint64_t>(when % kMinuteMs);
    std::array<char, 8> rest{':', 0, 0, '.', 0, 0, 0, 'Z'};
    write_digits<2>(rest.data() + 1, ms / 1'000);
    write_digits<3>(rest.data() + 4, ms % 1'000);
    put(rest.data(), rest.size());
    return *this;
}

void LineWriter::put_minute(std::int64_t unix_minutes) noexcept {
    if (minute_ != unix_minutes) {
        write_minute(minute_text_.data(), unix_minutes);
        minute_ = unix_minutes;
    }
    put(minute_text_.data(), minute_text_.size());
}

void LineWriter::put(const char* bytes, std::size_t count) noexcept {
    if (count != 0 && size_ + count <= room_) std::memcpy(place_ + size_, bytes, count);
    size_ += count;
}

}  // namespace apikey::usage
