// Finds the data of events in an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html) as its bytes
// come, cut anywhere. Lines end with CR, LF or CRLF. All other fields, and comments, are passed over. A byte order mark
// before the first line is the caller's.
#pragma once

#include <cstdint>
#include <string_view>

namespace apikey::usage {

class SseLines {
  public:
    enum class Piece : std::uint8_t {
        need_bytes,  // all bytes were taken
        data,        // data() is a piece of the event's data: of a line, or the LF between two lines
        event,       // an empty line ends the event; only where it had a line of data, be it an empty one
    };

    // The next piece. Takes its bytes, and those that were before it, away from the front of `bytes`.
    [[nodiscard]] Piece next(std::string_view* bytes) noexcept;
    // After `data`: a part of the bytes that were given, or a constant.
    [[nodiscard]] std::string_view data() const noexcept { return data_; }

  private:
    enum class Place : std::uint8_t {
        line_start,
        name,         // of a field that may be "data"
        value_start,  // behind "data:", where one space is not of the value
        value,
        passed_over,  // until the end of the line
    };

    Piece end_of_line() noexcept;
    Piece begin_value(Place next) noexcept;
    void name_byte(char c) noexcept;

    std::string_view data_;
    Place place_ = Place::line_start;
    std::uint8_t name_bytes_ = 0;  // of "data" that were there
    bool after_cr_ = false;        // a LF next belongs to the line end that was
    bool has_data_ = false;        // the event had a line of data
};

}  // namespace apikey::usage
