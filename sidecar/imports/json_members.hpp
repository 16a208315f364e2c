// What the takers of JSON events have in common: the members of an object, and values that nobody wants.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/transfer/query_string.hpp"
#include "sidecar/imports/json_events.hpp"

namespace apikey {

inline bool begins_value_with_parts(JsonKind kind) noexcept {
    return kind == JsonKind::object_begin || kind == JsonKind::array_begin;
}
inline bool ends_value_with_parts(JsonKind kind) noexcept {
    return kind == JsonKind::object_end || kind == JsonKind::array_end;
}

// A value that is passed over, with all its parts.
class SkippedValue {
  public:
    // At its first event. One without parts is over with it.
    void begin(const JsonEvent& first) noexcept { depth_ = begins_value_with_parts(first.kind) ? 1 : 0; }
    [[nodiscard]] bool is_open() const noexcept { return depth_ > 0; }
    // Its next event.
    void take(const JsonEvent& event) noexcept {
        if (begins_value_with_parts(event.kind)) ++depth_;
        if (ends_value_with_parts(event.kind)) --depth_;
    }

  private:
    std::size_t depth_ = 0;
};

// Which members an object has had, of at most 32 that are known.
class Members {
  public:
    explicit Members(std::span<const std::string_view> names) : names_(names) {}

    void begin() noexcept { seen_ = 0; }

    // At a name: whose value comes next. What is wrong with it, or nothing; current() is empty then.
    std::optional<std::string> name(std::string_view name) {
        const auto found = std::find(names_.begin(), names_.end(), name);
        current_.reset();
        if (found == names_.end()) return "has an unknown member " + quoted_for_message(name);
        const auto index = static_cast<std::size_t>(found - names_.begin());
        if (has(index)) return "has the member " + quoted_for_message(name) + " twice";
        seen_ |= 1U << index;
        current_ = index;
        return std::nullopt;
    }
    // The index of the member whose value comes; nothing: it is of no interest.
    [[nodiscard]] std::optional<std::size_t> current() const noexcept { return current_; }
    [[nodiscard]] bool has(std::size_t index) const noexcept { return ((seen_ >> index) & 1U) != 0; }

  private:
    std::span<const std::string_view> names_;
    std::uint32_t seen_ = 0;
    std::optional<std::size_t> current_;
};

}  // namespace apikey
