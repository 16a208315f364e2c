#include "sidecar/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

namespace apikey {
namespace {

constexpr std::size_t kMostCauses = 256;

// %* in a pattern: the message as a JSON string.
class JsonMessage : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
        const std::string text = nlohmann::json(std::string(message.payload.data(), message.payload.size()))
                                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        out.append(text.data(), text.data() + text.size());
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<JsonMessage>();
    }
};

spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

std::string with_count(const std::string& cause, std::int64_t held_back) {
    if (held_back == 0) return cause;
    return cause + " (" + std::to_string(held_back) + " more like this)";
}

}  // namespace

void start_log(LogLevel level, LogFormat format) {
    auto logger = std::make_shared<spdlog::logger>("apikeyd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_level(level_of(level));
    if (format == LogFormat::json) {
        auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
        formatter->add_flag<JsonMessage>('*').set_pattern(
            R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%*})");
        logger->set_formatter(std::move(formatter));
    } else {
        logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l: %v",
                                                                          spdlog::pattern_time_type::utc));
    }
    logger->flush_on(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
}

std::int64_t QuietLog::admit(const std::string& cause, std::chrono::steady_clock::time_point now) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(cause);
    if (found == entries_.end()) {
        if (entries_.size() >= kMostCauses) entries_.clear();
        entries_[cause] = {now, 0};
        return 0;
    }
    if (now - found->second.written < kEvery) {
        ++found->second.held_back;
        return kHoldBack;
    }
    found->second.written = now;
    return std::exchange(found->second.held_back, 0);
}

void QuietLog::warn(const std::string& cause, const std::string& line) {
    const std::int64_t held_back = admit(cause, std::chrono::steady_clock::now());
    if (held_back != kHoldBack) spdlog::warn("{}", with_count(line.empty() ? cause : line, held_back));
}

void QuietLog::error(const std::string& cause, const std::string& line) {
    const std::int64_t held_back = admit(cause, std::chrono::steady_clock::now());
    if (held_back != kHoldBack) spdlog::error("{}", with_count(line.empty() ? cause : line, held_back));
}

}  // namespace apikey
