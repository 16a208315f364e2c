// apikeyd.yaml: any text is settings, or a complaint that names the file and, but for what the whole file lacks, the line. What is
// accepted and written down again is the same. And wherever a password stands in a connection string, no message repeats it.
#include "sidecar/settings.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "sidecar/duration.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

const std::string kFile = "apikeyd.yaml";
constexpr std::string_view kPassword = "Pa55w0rd";

std::string hex_of(char byte) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    return {kDigits[value / 16], kDigits[value % 16]};
}

std::string in_quotes(std::string_view text) {
    std::string yaml = "\"";
    for (const char c : text) {
        const bool control = (c >= 0 && c < ' ') || c == '\x7f';
        yaml += control ? "\\x" + hex_of(c) : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    }
    return yaml + "\"";
}

std::string url_of(const redis::Url& url) {
    if (!url.unix_path.empty()) return redis::display(url);
    const auto encoded = [](std::string_view text) {
        std::string all;
        for (const char c : text)
            all += "%" + hex_of(c);
        return all;
    };
    const bool brackets = url.host.find(':') != std::string::npos || url.host.starts_with('[');
    return std::string(url.tls ? "rediss" : "redis") + "://" + encoded(url.user) + ":" + encoded(url.password) + "@" +
           (brackets ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port) + "/" +
           std::to_string(url.database);
}

std::string octal(unsigned mode) {
    return {'0', static_cast<char>('0' + mode / 64), static_cast<char>('0' + mode / 8 % 8),
            static_cast<char>('0' + mode % 8)};
}

std::string price_text(std::int64_t price) {
    const std::string decimals = std::to_string(price % 1'000'000);
    return std::to_string(price / 1'000'000) + "." + std::string(6 - decimals.size(), '0') + decimals;
}

std::string prices_of(const Settings& settings) {
    std::string yaml;
    for (const auto& [model, price] : settings.usage_prices)
        yaml += (yaml.empty() ? "" : ", ") + in_quotes(model) + ": {input: " + price_text(price.input) +
                ", output: " + price_text(price.output) + "}";
    return "{" + yaml + "}";
}

// All settings, as a file.
std::string yaml_of(const Settings& settings) {
    constexpr std::array kLevels = {"debug", "info", "warn", "error"};
    constexpr std::array kFormats = {"text", "json"};
    std::string yaml = "postgres: " + in_quotes(settings.postgres) + "\nredis: " + in_quotes(url_of(settings.redis)) +
                       "\nlisten: " + in_quotes("unix:" + settings.listen) + "\n";
    const auto if_given = [&](const char* name, const std::string& value) {
        if (!value.empty()) yaml += name + (": " + in_quotes(value)) + "\n";
    };
    if_given("redis_password_file", settings.redis_password_file);
    if_given("redis_ca_file", settings.redis_ca_file);
    if_given("redis_prefix", settings.redis_prefix);
    if_given("secret_file", settings.secret_file);
    yaml += "listen_mode: " + in_quotes(octal(settings.listen_mode)) +
            "\nkeys: {prefix: " + in_quotes(settings.key_prefix) + "}\n";
    yaml += "usage: {bucket: " + format_duration(settings.usage_bucket) + ", prices: " + prices_of(settings);
    if (settings.usage_keep.count() != 0) yaml += ", keep: " + format_duration(settings.usage_keep);
    yaml += "}\nflush: {interval: " + format_duration(settings.flush_interval) +
            ", rows: " + std::to_string(settings.flush_rows);
    yaml += "}\nexports: {parallel: " + std::to_string(settings.exports_parallel) +
            ", stall: " + format_duration(settings.exports_stall);
    yaml += "}\nimports: {max_bytes: " + std::to_string(settings.imports_max_bytes);
    yaml += std::string("}\nlog: {level: ") + kLevels.at(static_cast<std::size_t>(settings.log_level));
    return yaml + ", format: " + kFormats.at(static_cast<std::size_t>(settings.log_format)) + "}\n";
}

void check_complaint(const std::string& complaint, const std::string& text) {
    ASSERT_TRUE(complaint.starts_with(kFile + ":")) << complaint;
    const std::string rest = complaint.substr(kFile.size() + 1);
    if (std::isdigit(static_cast<unsigned char>(rest[0])) != 0) {
        const std::size_t line = std::stoul(rest);
        const auto breaks = std::count_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; });
        ASSERT_TRUE(line >= 1 && line <= static_cast<std::size_t>(breaks) + 1) << complaint;
        return;
    }
    const auto says = [&](const char* what) { return rest.find(what) != std::string::npos; };
    ASSERT_TRUE(says("is empty; postgres, redis and listen must be given") ||
                says("holds more than one YAML document") || says("the file must hold settings") ||
                says(" is missing; write for example"))
        << complaint;
}

void check_file(const std::string& text) {
    const auto settings = parse_settings(text, kFile);
    if (!settings) return check_complaint(settings.error(), text);
    const std::string yaml = yaml_of(*settings);
    const auto again = parse_settings(yaml, kFile);
    ASSERT_TRUE(again.ok()) << again.error() << '\n' << yaml;
    EXPECT_EQ(yaml_of(*again), yaml);
}

void check_secrets(const std::string& before, const std::string& behind) {
    const std::string text = before + std::string(kPassword) + behind;
    if (const auto url = redis::parse_url(Exact(text)); !url) {
        EXPECT_EQ(url.error().find(kPassword), std::string::npos) << url.error();
    } else if (url->host.find(kPassword) == std::string::npos && url->unix_path.find(kPassword) == std::string::npos) {
        EXPECT_EQ(redis::display(*url).find(kPassword), std::string::npos);
        const auto again = redis::parse_url(url_of(*url));
        ASSERT_TRUE(again.ok()) << again.error() << '\n' << url_of(*url);
        EXPECT_EQ(url_of(*again), url_of(*url));
    }
    if (const auto dsn = parse_postgres(Exact(text)); !dsn) {
        EXPECT_EQ(dsn.error().find(kPassword), std::string::npos) << dsn.error();
    }
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    if (data.ConsumeIntegralInRange(0, 7) == 0) {
        const std::string before = data.ConsumeRandomLengthString(100);
        check_secrets(before, data.ConsumeRemainingBytesAsString());
    } else {
        check_file(data.ConsumeRemainingBytesAsString());
    }
    return 0;
}
