// What `apikeyctl doctor` found: one line for each thing that it looked at, and what to do about what is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace apikey::doctor {

enum class Level : std::uint8_t { ok, note, warning, error };

struct Finding {
    std::string check;  // what was looked at, e.g. redis.eviction; never changes, for scripts
    Level level = Level::ok;
    std::string message;  // what was found. Never a key, its hash or a password
    std::string advice;   // what to do; empty where there is nothing to do
};

// In the order in which things were looked at.
class Findings {
  public:
    // It is as it should be.
    void ok(std::string check, std::string message);
    // Worth knowing; it may well be meant like that.
    void note(std::string check, std::string message, std::string advice = {});
    // It works, but not as well or as safely as it could.
    void warning(std::string check, std::string message, std::string advice);
    // Something does not work, or may stop working at any time.
    void error(std::string check, std::string message, std::string advice);

    [[nodiscard]] const std::vector<Finding>& all() const noexcept { return findings_; }
    [[nodiscard]] std::size_t count(Level level) const noexcept;

  private:
    std::vector<Finding> findings_;
};

// "ok", "note", "warning", "error".
std::string_view to_text(Level level) noexcept;

// "12 ok, 1 note, 1 warning, 0 errors"; notes only where there are any.
std::string summary_of(const Findings& findings);

}  // namespace apikey::doctor
