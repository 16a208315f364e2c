// The log of apikeyd: stderr, as text or as one JSON object a line. Never a key, a key's hash or a password.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "sidecar/settings.hpp"

namespace apikey {

// Makes spdlog's default logger write as the settings say. Call once, before any thread logs.
void start_log(LogLevel level, LogFormat format);

// A fault that lasts would fill the log: each cause is logged at once and then at most every 10 s, with the
// number of times it was left out. Thread-safe.
class QuietLog {
  public:
    static constexpr std::chrono::seconds kEvery{10};

    // `cause` is what it is counted by, and the line, unless that is given: one of many examples of the cause.
    void warn(const std::string& cause, const std::string& line = {});
    void error(const std::string& cause, const std::string& line = {});

    // How often `cause` was held back since it was last written; nothing when it must be held back now.
    // For warn() and error(), and for tests.
    std::int64_t admit(const std::string& cause, std::chrono::steady_clock::time_point now);
    static constexpr std::int64_t kHoldBack = -1;

  private:
    struct Entry {
        std::chrono::steady_clock::time_point written;
        std::int64_t held_back = 0;
    };
    std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace apikey
