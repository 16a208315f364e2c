// Comma-separated values (RFC 4180), from bytes that come in any pieces.
//
//   file   := [ BOM ] record ( end record )* [ end ]        end := LF | CR LF
//   record := field ( "," field )*                          field := plain | quote ( any but quote | quote quote )* quote
//   plain  := any but comma, quote, CR, LF
//
// A CR that no LF follows is refused outside of quotes; within them line ends are the field's own bytes. Empty lines at the end are
// nothing, before it each is a record of one empty field. Bytes are not judged: whether they are UTF-8 is for whoever takes them.
//
// Why not libcsv: it trims blanks, takes what is malformed, and knows neither positions nor limits.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace apikey {

struct CsvRecord {
    std::uint64_t number = 0;                  // in the file, from 1
    std::uint64_t line = 0;                    // where it begins, from 1: quoted fields may have many
    std::span<const std::string_view> fields;  // at least one
};

class CsvReader {
  public:
    static constexpr std::size_t kMostFieldBytes = std::size_t{16} * 1024;
    static constexpr std::size_t kMostColumns = 64;

    // Takes a record, which is valid until it returns. False: no more is wanted.
    using OnRecord = std::function<bool(const CsvRecord&)>;
    explicit CsvReader(OnRecord on_record) : on_record_(std::move(on_record)) {}

    // The next bytes. False: that was the end of it, see error(); nothing more is taken.
    bool feed(std::string_view bytes);
    // After the last of them: a last line needs no end.
    bool finish();

    // Why it is no CSV, with line and column (in bytes, from 1); empty when it is, or when on_record wanted no more.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

  private:
    enum class State : std::uint8_t { field, plain, quoted, quote, cr, stopped };

    std::string_view without_bom(std::string_view bytes);
    // Each takes some bytes from the front, or changes the state, and returns how many.
    std::size_t take(std::string_view bytes);
    std::size_t take_at_field(char byte);
    std::size_t take_plain(std::string_view bytes);
    std::size_t take_quoted(std::string_view bytes);
    std::size_t take_behind_quote(char byte);
    std::size_t take_line_end(char byte);

    void begin_field();
    void add_text(std::string_view text);
    void end_field();
    void end_line();
    void hand_over();
    void hand_over_empty_lines();
    // At the byte that is looked at.
    void fail(const std::string& why);
    // At the last quoted field's beginning.
    void fail_at_quote(const std::string& why);
    [[nodiscard]] std::size_t column() const noexcept { return offset_ - line_begin_ + 1; }

    OnRecord on_record_;
    State state_ = State::field;
    std::size_t bom_bytes_ = 0;  // how much of it has come; all: there is none, or none any more

    // The record so far: its fields' bytes one behind the other, and where each of them ends.
    std::string text_;
    std::array<std::size_t, kMostColumns> ends_{};
    std::size_t field_count_ = 0;
    bool has_quotes_ = false;  // one of its fields; so the line is not empty
    std::uint64_t record_line_ = 1;
    std::uint64_t quote_line_ = 0;  // where the last quoted field began
    std::size_t quote_column_ = 0;

    std::uint64_t records_ = 0;
    std::uint64_t empty_lines_ = 0;  // held back, the last of them before record_line_
    std::uint64_t line_ = 1;
    std::size_t offset_ = 0;      // of the byte that is looked at
    std::size_t line_begin_ = 0;  // its line's
    std::string error_;
};

}  // namespace apikey
