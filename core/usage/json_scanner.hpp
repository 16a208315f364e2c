// Takes a JSON object (RFC 8259) apart into tokens as its bytes come, cut anywhere. It keeps a bit for each level it is in
// and the text at hand, and nothing else: no allocation, no recursion, no exception.
//
// It is strict about JSON's grammar, control characters inside strings among it, and does not look at whether bytes above
// 0x7f are UTF-8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace apikey::usage {

class JsonScanner {
  public:
    static constexpr std::size_t kDeepest = 64;         // objects and arrays inside each other; deeper is malformed
    static constexpr std::size_t kMostTextBytes = 128;  // what text() keeps

    enum class Token : std::uint8_t {
        need_bytes,  // all bytes were taken, and no token ended in them
        object,
        object_end,
        array,
        array_end,
        name,  // of a member
        text,
        number,
        boolean,
        null,
        malformed,  // and so for ever
    };

    // The next token. Takes its bytes, and those that were before it, away from the front of `bytes`.
    [[nodiscard]] Token next(std::string_view* bytes) noexcept;

    // In how many objects and arrays the scanner is: at the token `object` that one is among them, at `object_end` no more.
    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
    // Whether the whole object was there, and only white space after it.
    [[nodiscard]] bool complete() const noexcept { return place_ == Place::behind; }

    // After `name` and `text`, until the next call: the text, escapes undone, cut at the end of a character where it is longer
    // than kMostTextBytes. Half a surrogate pair and NUL, which neither UTF-8 nor Postgres has, are U+FFFD.
    [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), text_bytes_}; }
    // After `number`: its value; nothing unless it is written as a whole number from 0 to 2^63 - 1 (not 8.0, not 1e3).
    [[nodiscard]] std::optional<std::uint64_t> count() const noexcept;

  private:
    // Where in the grammar the next byte is.
    enum class Place : std::uint8_t {
        start,          // before the object
        name_or_end,    // behind {
        name,           // behind the , of an object
        colon,          // behind a name
        value,          // behind : or the , of an array
        value_or_end,   // behind [
        comma_or_end,   // behind a value
        behind,         // behind the object
        in_string,      // of a name or a text
        in_escape,      // behind its backslash
        in_code_point,  // behind its \u
        in_number,
        in_word,  // true, false, null
        malformed,
    };
    enum class NumberPart : std::uint8_t { minus, zero, whole, point, fraction, e, e_sign, exponent };
    enum class Word : std::uint8_t { yes, no, null };

    Token step(std::string_view* bytes) noexcept;
    Token mark(char c) noexcept;
    Token begin_value(char c) noexcept;
    Token open(bool object) noexcept;
    Token close(bool object) noexcept;
    Token malformed() noexcept;
    void value_ended() noexcept;

    void begin_string(bool name) noexcept;
    Token string(std::string_view* bytes) noexcept;
    Token end_of_string() noexcept;
    Token escape(char c) noexcept;
    Token code_point_digit(char c) noexcept;
    void code_unit(std::uint32_t unit) noexcept;
    void append(std::string_view piece) noexcept;
    void append_character(std::uint32_t code_point) noexcept;
    void flush_high_surrogate() noexcept;

    Token number(std::string_view* bytes) noexcept;
    bool continue_number(char c) noexcept;
    static bool may_end(NumberPart part) noexcept;
    Token word(char c) noexcept;

    std::uint64_t objects_ = 0;  // a bit for each level, the innermost lowest: 1 is an object
    std::uint64_t number_ = 0;   // so far, while is_count_
    std::array<char, kMostTextBytes> text_{};
    std::uint16_t high_surrogate_ = 0;  // waits for its other half; 0: none does
    std::uint16_t code_unit_ = 0;       // of \uXXXX, so far
    std::uint8_t text_bytes_ = 0;
    std::uint8_t depth_ = 0;
    std::uint8_t code_unit_digits_ = 0;
    std::uint8_t word_bytes_ = 0;  // that were there
    Place place_ = Place::start;
    NumberPart number_part_ = NumberPart::zero;
    Word word_ = Word::null;
    bool is_name_ = false;
    bool text_is_cut_ = false;
    bool is_count_ = false;  // the number, as far as it has come
};

}  // namespace apikey::usage
