// A JSON object out of its events, written again as text: numbers as they stood, blanks gone.
#pragma once

#include <string>

#include "sidecar/imports/field_checks.hpp"
#include "sidecar/imports/json_events.hpp"

namespace apikey {

class MetadataText {
  public:
    static constexpr std::size_t kMostBytes = std::size_t{256} * 1024;
    static constexpr std::size_t kMostNesting = 32;
    // Of a number's digits, and of its exponent: Postgres writes it out in full.
    static constexpr std::size_t kMostDigits = 1000;
    static constexpr int kLargestExponent = 400;

    // At its object_begin.
    void begin();
    // All its other events, until it is_open() no more.
    void take(const JsonEvent& event);
    [[nodiscard]] bool is_open() const noexcept { return depth_ > 0; }

    // Afterwards: what Postgres would not take, or else the text.
    [[nodiscard]] const Complaint& complaint() const noexcept { return complaint_; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

  private:
    void add_value(const JsonEvent& event);
    void add_text(const JsonEvent& event);
    void complain(const char* what);

    std::string text_;
    std::size_t depth_ = 0;
    bool needs_comma_ = false;
    Complaint complaint_;
};

}  // namespace apikey
