// What a batch says, in the text format of Postgres' COPY (https://www.postgresql.org/docs/current/sql-copy.html), so that
// apikeyd hands it to COPY as it is. The one place that knows the columns; nginx writes them, apikeyd reads them.
//
//   keys := ( key_id TAB last_used LF )*
//   rows := ( user_id TAB key_id TAB minute TAB endpoint TAB model TAB status TAB requests TAB tokens_in TAB tokens_out
//             TAB tokens_cached TAB cost LF )*
//
//   last_used, minute   2026-11-28T02:05:07.123Z, 2026-11-28T02:05:00Z
//   status              success | error
//   requests, tokens_*  0 … 2^63 - 1
//   cost                decimal, up to 12 places, without trailing zeros; \N where nobody named one
//   texts               UTF-8; \ TAB LF CR BS FF VT are written \\ \t \n \r \b \f \v
//
// A batch is identified by `<zone> <slot> <sequence>`: 32 hex digits, two decimal numbers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace apikey::usage {

inline constexpr const char* kKeyColumns = "key_id, last_used";
inline constexpr const char* kRowColumns =
    "user_id, key_id, minute, endpoint, model, status, requests, tokens_in, tokens_out, tokens_cached, cost";
inline constexpr std::string_view kSuccess = "success";
inline constexpr std::string_view kFailure = "error";

// Fields of an entry of the stream apikey:usage.
inline constexpr std::string_view kBatchField = "batch";
inline constexpr std::string_view kSealedField = "sealed";
inline constexpr std::string_view kKeysField = "keys";
inline constexpr std::string_view kRowsField = "rows";

// Whose batch it is.
struct BatchId {
    std::string zone;  // 32 lower-case hex digits
    std::uint64_t slot = 0;
    std::uint64_t sequence = 0;

    bool operator==(const BatchId&) const = default;
};
[[nodiscard]] std::string batch_text(const BatchId& id);
// Nothing when it is none: one space between the parts, no signs, no leading zeros, numbers below 2^63.
[[nodiscard]] std::optional<BatchId> parse_batch_id(std::string_view text);

// Writes into memory that it is given, and counts on when that is full.
class LineWriter {
  public:
    LineWriter(char* memory, std::size_t bytes) noexcept : place_(memory), room_(bytes) {}
    // Writes there from now on.
    void move_to(char* memory, std::size_t bytes) noexcept {
        place_ = memory;
        room_ = bytes;
        size_ = 0;
    }

    LineWriter& text(std::string_view value) noexcept;  // escaped
    LineWriter& word(std::string_view value) noexcept;  // as it is
    LineWriter& number(std::uint64_t value) noexcept;
    LineWriter& cost(std::optional<std::uint64_t> cost) noexcept;  // in 10^-12
    LineWriter& minute(std::int64_t unix_minutes) noexcept;
    LineWriter& instant(std::int64_t unix_ms) noexcept;
    LineWriter& byte(char value) noexcept {
        if (size_ < room_) place_[size_] = value;
        ++size_;
        return *this;
    }
    LineWriter& tab() noexcept { return byte('\t'); }
    LineWriter& end() noexcept { return byte('\n'); }

    // All that was written; more than the memory's size means that it did not fit.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool fits() const noexcept { return size_ <= room_; }

  private:
    void put(const char* bytes, std::size_t count) noexcept;
    void put_minute(std::int64_t unix_minutes) noexcept;

    char* place_;
    std::size_t room_;
    std::size_t size_ = 0;
    // The last one, for most lines of a batch are of the same: 2026-11-28T02:05.
    std::int64_t minute_ = -1;
    std::array<char, 16> minute_text_{};
};

}  // namespace apikey::usage
