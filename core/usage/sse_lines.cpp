#include "core/usage/sse_lines.hpp"

#include "core/byte_run.hpp"

namespace apikey::usage {
namespace {

constexpr std::string_view kName = "data";

constexpr bool ends_line(char c) noexcept {
    return c == '\n' || c == '\r';
}

// How many bytes come before the end of the line.
std::size_t rest_of_line(std::string_view bytes) noexcept {
    std::size_t at = run_before<ControlsAnd<>>(bytes);
    while (at < bytes.size() && !ends_line(bytes[at]))  // other control characters are part of it
        at += 1 + run_before<ControlsAnd<>>(bytes.substr(at + 1));
    return at;
}

}  // namespace

SseLines::Piece SseLines::next(std::string_view* bytes) noexcept {
    while (!bytes->empty()) {
        const char c = bytes->front();
        if (after_cr_ && c == '\n') {
            after_cr_ = false;
            bytes->remove_prefix(1);
            continue;
        }
        after_cr_ = false;
        Piece piece = Piece::need_bytes;
        if (ends_line(c)) {
            after_cr_ = c == '\r';
            bytes->remove_prefix(1);
            piece = end_of_line();
        } else if (place_ == Place::value || place_ == Place::passed_over) {
            data_ = bytes->substr(0, rest_of_line(*bytes));
            bytes->remove_prefix(data_.size());
            if (place_ == Place::value) piece = Piece::data;
        } else if (place_ == Place::value_start) {
            if (c == ' ') bytes->remove_prefix(1);
            piece = begin_value(Place::value);
        } else {
            bytes->remove_prefix(1);
            name_byte(c);
        }
        if (piece != Piece::need_bytes) return piece;
    }
    return Piece::need_bytes;
}

void SseLines::name_byte(char c) noexcept {
    if (place_ == Place::line_start) name_bytes_ = 0;
    const bool whole = name_bytes_ == kName.size();
    if (whole && c == ':') {
        place_ = Place::value_start;
    } else if (!whole && c == kName[name_bytes_]) {
        place_ = Place::name;
        ++name_bytes_;
    } else {
        place_ = Place::passed_over;
    }
}

SseLines::Piece SseLines::end_of_line() noexcept {
    const Place ended = place_;
    place_ = Place::line_start;
    if (ended == Place::line_start && has_data_) {
        has_data_ = false;
        return Piece::event;
    }
    // "data" without a colon is a line of data, too, an empty one.
    const bool empty_value = ended == Place::value_start || (ended == Place::name && name_bytes_ == kName.size());
    return empty_value ? begin_value(Place::line_start) : Piece::need_bytes;
}

// A line of data begins: the lines of an event are joined by LF.
SseLines::Piece SseLines::begin_value(Place next) noexcept {
    place_ = next;
    const bool first = !has_data_;
    has_data_ = true;
    data_ = "\n";
    return first ? Piece::need_bytes : Piece::data;
}

}  // namespace apikey::usage
