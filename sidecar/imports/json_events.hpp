// JSON (RFC 8259) as a row of events, from bytes that come in any pieces; never the whole document in memory.
//
// By Boost.JSON's push parser, and stricter in what it holds: numbers are texts as they stand, never doubles; a string is kept up to
// a length that its taker names. Malformed besides what is no JSON: bytes that are not UTF-8, lone surrogates, nesting
// deeper than kMostNesting, a number of more than kMostNumberBytes, anything behind the document. That names occur twice is for the taker
// to see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace apikey {

enum class JsonKind : std::uint8_t {
    object_begin,
    object_end,
    array_begin,
    array_end,
    name,
    text,
    number,
    boolean,
    null
};

struct JsonEvent {
    JsonKind kind = JsonKind::null;
    std::string_view
        text;           // of a name, a text (UTF-8, unescaped), a number (as it stands), a boolean; valid for this call
    bool whole = true;  // false: a name or text that is longer than it may be, and was cut somewhere
};

// Takes events. `take` returns false when no more is wanted.
class JsonTaker {
  public:
    JsonTaker() = default;
    virtual ~JsonTaker() = default;
    JsonTaker(const JsonTaker&) = delete;
    JsonTaker& operator=(const JsonTaker&) = delete;

    virtual bool take(const JsonEvent& event) = 0;
    // How many bytes the text that begins now may have.
    [[nodiscard]] virtual std::size_t most_text_bytes() const = 0;
};

class JsonEvents {
  public:
    static constexpr std::size_t kMostNesting = 64;
    static constexpr std::size_t kMostNumberBytes = 4096;
    static constexpr std::size_t kMostNameBytes = std::size_t{64} * 1024;

    // `taker` must outlive this.
    explicit JsonEvents(JsonTaker& taker);
    ~JsonEvents();
    JsonEvents(const JsonEvents&) = delete;
    JsonEvents& operator=(const JsonEvents&) = delete;

    // The next bytes. False: that was the end of it, see error(); nothing more is taken.
    bool feed(std::string_view bytes);
    // After the last of them.
    bool finish();

    // Why it is no JSON, with its place; empty when it is, or when the taker wanted no more.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }
    // Where it stopped: "line 3 (byte 1234)", from 1. Before or behind a null that the taker did not want.
    [[nodiscard]] std::string place() const;

  private:
    class Parser;
    // Takes `bytes`, which are few.
    bool write(bool more, std::string_view bytes);

    std::unique_ptr<Parser> parser_;
    std::uint64_t bytes_ = 0;  // that were parsed
    std::uint64_t lines_ = 0;  // line feeds in them
    bool is_stopped_ = false;
    std::string error_;
};

}  // namespace apikey
