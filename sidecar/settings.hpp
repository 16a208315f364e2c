// apikeyd.yaml (DESIGN §3.4): read once at start, checked completely, then constant.
//
// `postgres`, `redis` and `listen` must be given. A setting of a part that is not built yet is checked all
// the same, so that a file stays right when the part arrives.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/redis/names.hpp"
#include "core/redis/url.hpp"
#include "core/result.hpp"

namespace apikey {

inline constexpr const char* kDefaultConfigFile = "/etc/apikeyd/apikeyd.yaml";

enum class LogLevel : std::uint8_t { debug, info, warn, error };
enum class LogFormat : std::uint8_t { text, json };

// What a model's tokens cost, in 10⁻¹² of the currency per token (written per million tokens).
struct Price {
    std::int64_t input = 0;
    std::int64_t output = 0;
};

struct Settings {
    std::string postgres;             // any libpq connection string; may hold a password: never log it
    redis::Url redis;                 // may hold a password: log redis::display(redis)
    std::string redis_password_file;  // empty: none. Read again at every connection
    std::string redis_ca_file;        // of rediss://; empty: the system's authorities. Likewise
    std::string redis_prefix{redis::kDefaultPrefix};
    std::string listen;  // path of the Unix socket
    unsigned listen_mode = 0660;
    std::string secret_file;  // empty: none
    std::string key_prefix = "ia_";
    std::chrono::seconds usage_bucket{60};
    std::map<std::string, Price, std::less<>> usage_prices;  // by model
    std::chrono::seconds usage_keep{0};                      // 0: for ever
    std::chrono::seconds flush_interval{1};
    std::uint64_t flush_rows = 10'000;
    std::uint64_t exports_parallel = 8;
    std::chrono::seconds exports_stall{60};
    std::uint64_t imports_max_bytes = std::uint64_t{1} << 30;
    LogLevel log_level = LogLevel::info;
    LogFormat log_format = LogFormat::text;
};

// Error: "FILE:LINE: setting: what is wrong and what to write instead". Never repeats a password.
Result<Settings> load_settings(const std::string& file);

// The same from text; `file` only appears in messages.
Result<Settings> parse_settings(const std::string& yaml, const std::string& file);

// Where the file gives a setting of the top, FILE:LINE; FILE when it does not, or cannot be read.
std::string place_of_setting(const std::string& file, std::string_view name);

// Checks a libpq connection string without connecting.
Result<std::string> parse_postgres(std::string_view text);

}  // namespace apikey
