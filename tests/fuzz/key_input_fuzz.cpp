// What people type about keys and times: names, users, scopes, ends, durations, sizes, ranges. What is accepted is what the headers
// say, by another reading of it; what is written is read back as the same.
#include "core/uuid.hpp"
#include "sidecar/keys/key_input.hpp"

#include <algorithm>
#include <cctype>
#include <regex>

#include "core/iso_time.hpp"
#include "core/key_facts.hpp"
#include "core/policy.hpp"
#include "core/utf8.hpp"
#include "sidecar/duration.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

using std::chrono::seconds;

const Instant kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 28) + std::chrono::hours(9);

void check_texts(const std::string& text) {
    const bool clean =
        is_utf8(text) && std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    const auto characters =
        std::count_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x80 || c > 0xbf; });
    const auto name = check_name(Exact(text));
    EXPECT_EQ(name.ok(), clean && characters >= 1 && characters <= 200);
    const auto user = check_user(Exact(text));
    EXPECT_EQ(user.ok(), clean && !text.empty() && text.size() <= kMaxFieldBytes);
    if (name) EXPECT_EQ(*name, text);
    if (user) EXPECT_EQ(*user, text);
}

// The text's words, separated by commas.
void check_scope_list(const std::string& text) {
    std::vector<std::string> scopes(1);
    for (const char c : text)
        c == ',' ? scopes.emplace_back() : scopes.back() += c;
    const auto checked = check_scopes(scopes);
    if (!std::all_of(scopes.begin(), scopes.end(), [](const std::string& each) { return valid_scope(each); })) {
        EXPECT_FALSE(checked.ok());
        return;
    }
    if (!checked) {
        EXPECT_GT(text.size(), kMaxFieldBytes);
        return;
    }
    std::string joined;
    for (const std::string& each : *checked)
        joined += (joined.empty() ? "" : " ") + each;
    EXPECT_LE(joined.size(), kMaxFieldBytes);
    for (const std::string& each : scopes) {
        EXPECT_TRUE(grants(joined, each));
        EXPECT_EQ(std::count(checked->begin(), checked->end(), each), 1);
    }
}

// By the grammar, as a regular expression: number, then one of `units`.
std::optional<std::uint64_t> quantity(const std::string& text, const std::regex& form, const std::string& units,
                                      const std::vector<std::uint64_t>& factors, std::uint64_t most) {
    std::smatch parts;
    if (text.size() > 100 || !std::regex_match(text, parts, form)) return std::nullopt;
    const std::size_t unit = parts[2].length() == 0 ? 0 : units.find(parts[2].str()[0]);
    std::uint64_t number = 0;
    for (const char digit : parts[1].str()) {
        const auto value = static_cast<std::uint64_t>(digit - '0');
        if (number > (most / factors[unit] - value) / 10) return std::nullopt;
        number = number * 10 + value;
    }
    return number * factors[unit];
}

void check_quantities(std::string text) {
    static const std::regex kDuration("([0-9]+)([smhd])");
    static const std::regex kSize("([0-9]+)(?: ?(b|[kmgt](?:ib)?))?");
    const auto duration = parse_duration(Exact(text));
    const auto size = parse_size(Exact(text));
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto time = quantity(text, kDuration, "smhd", {1, 60, 3600, 86'400}, std::uint64_t{36'500} * 86'400);
    if (text.size() <= 100) ASSERT_EQ(duration.ok(), time.has_value());
    if (time) {
        EXPECT_EQ(duration->count(), static_cast<std::int64_t>(*time));
        EXPECT_EQ(*parse_duration(format_duration(*duration)), *duration);
        EXPECT_LE(format_duration(*duration).size(), std::to_string(duration->count()).size() + 1);
    }
    const auto bytes =
        quantity(text, kSize, "bkmgt", {1, 1ULL << 10U, 1ULL << 20U, 1ULL << 30U, 1ULL << 40U}, 1ULL << 62U);
    if (text.size() <= 100) ASSERT_EQ(size.ok(), bytes.has_value());
    if (bytes) EXPECT_EQ(*size, *bytes);
}

void check_times(const std::string& text, const std::string& other) {
    const auto time = parse_iso_time(Exact(text));
    if (time) {
        const std::string written = format_iso_time(time->at);
        const auto again = parse_iso_time(written);
        ASSERT_TRUE(again && again->at == time->at && !again->whole_day) << written;
        EXPECT_EQ(time->whole_day, text.size() == 10);
        if (text.size() == 20) EXPECT_EQ(written, text);
        if (time->whole_day) EXPECT_EQ(written, text + "T00:00:00Z");
    }
    const auto range = parse_time_range(Exact(text), Exact(other), kNow, std::chrono::days(30));
    if (range) {
        EXPECT_LT(range->from, range->until);
        EXPECT_TRUE(text.empty() || (time && range->from == time->at));
        EXPECT_FALSE(describe(*range).empty());
    } else {
        EXPECT_TRUE(range.error().starts_with("--from") || range.error().starts_with("--to")) << range.error();
    }
    const auto now = std::chrono::floor<seconds>(kNow);
    if (const auto end = parse_expiry(Exact(text), now)) {
        EXPECT_GT(*end, now);
        const auto duration = parse_duration(text);
        EXPECT_TRUE(duration ? *end == now + *duration : time && *end == std::chrono::floor<seconds>(time->at));
    }
}

void check_uuid(const std::string& text) {
    std::string shape = text;
    for (char& c : shape)
        if (c != '-') c = std::isxdigit(static_cast<unsigned char>(c)) != 0 ? 'x' : '?';
    EXPECT_EQ(is_uuid(Exact(text)), shape == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const std::string text = data.ConsumeRandomLengthString(4'500);
    const std::string other = data.ConsumeRemainingBytesAsString();
    check_texts(text);
    check_scope_list(text);
    check_quantities(text);
    check_times(text, other);
    check_uuid(text);
    return 0;
}
