#include "sidecar/imports/csv_reader.hpp"

#include <algorithm>
#include <utility>

namespace apikey {
namespace {

constexpr std::string_view kBom = "\xEF\xBB\xBF";
constexpr std::string_view kEndsPlain = ",\"\r\n";

}  // namespace

bool CsvReader::feed(std::string_view bytes) {
    if (bom_bytes_ < kBom.size()) bytes = without_bom(bytes);
    while (!bytes.empty() && state_ != State::stopped) {
        const std::size_t taken = take(bytes);
        offset_ += taken;
        bytes.remove_prefix(taken);
    }
    return state_ != State::stopped;
}

bool CsvReader::finish() {
    const std::string_view begun = kBom.substr(0, std::exchange(bom_bytes_, kBom.size()));
    if (begun.size() < kBom.size() && !feed(begun)) return false;
    if (state_ == State::quoted) {
        fail_at_quote("this quote is never closed");
    } else if (state_ == State::cr) {
        fail("a carriage return must be followed by a line feed");
    } else if (state_ != State::stopped && (field_count_ > 0 || !text_.empty() || has_quotes_)) {
        end_line();
    }
    const bool is_good = state_ != State::stopped && error_.empty();
    state_ = State::stopped;
    return is_good;
}

// It may come byte by byte; and what only begins like it is text.
std::string_view CsvReader::without_bom(std::string_view bytes) {
    while (bom_bytes_ < kBom.size() && !bytes.empty()) {
        if (bytes.front() != kBom[bom_bytes_]) {
            const std::string_view begun = kBom.substr(0, std::exchange(bom_bytes_, kBom.size()));
            feed(begun);
            return bytes;
        }
        bytes.remove_prefix(1);
        ++bom_bytes_;
    }
    return bytes;
}

std::size_t CsvReader::take(std::string_view bytes) {
    switch (state_) {
        case State::field: return take_at_field(bytes.front());
        case State::plain: return take_plain(bytes);
        case State::quoted: return take_quoted(bytes);
        case State::quote: return take_behind_quote(bytes.front());
        case State::cr: return take_line_end(bytes.front());
        case State::stopped: break;
    }
    return bytes.size();
}

std::size_t CsvReader::take_at_field(char byte) {
    if (byte == '\r' || byte == '\n') return take_line_end(byte);
    if (field_count_ == 0 && empty_lines_ > 0) {
        hand_over_empty_lines();
        return 0;
    }
    if (byte == ',') {
        end_field();
        return 1;
    }
    if (byte != '"') {
        state_ = State::plain;
        return 0;
    }
    state_ = State::quoted;
    has_quotes_ = true;
    quote_line_ = line_;
    quote_column_ = column();
    return 1;
}

std::size_t CsvReader::take_plain(std::string_view bytes) {
    const std::size_t length = std::min(bytes.find_first_of(kEndsPlain), bytes.size());
    add_text(bytes.substr(0, length));
    if (length > 0 || state_ == State::stopped) return length;
    switch (bytes.front()) {
        case ',': end_field(); return 1;
        case '"':
            fail("a quote within a field that does not begin with one; quote the field and double the quote");
            return 1;
        default: return take_line_end(bytes.front());
    }
}

std::size_t CsvReader::take_quoted(std::string_view bytes) {
    if (bytes.front() == '"') {
        state_ = State::quote;
        return 1;
    }
    // By lines, so that positions are those of the bytes' own line.
    std::size_t length = std::min(bytes.find_first_of("\"\n"), bytes.size());
    const bool at_line_end = length < bytes.size() && bytes[length] == '\n';
    if (at_line_end) ++length;
    add_text(bytes.substr(0, length));
    if (at_line_end) {
        ++line_;
        line_begin_ = offset_ + length;
    }
    return length;
}

std::size_t CsvReader::take_behind_quote(char byte) {
    if (byte == '"') {
        state_ = State::quoted;
        add_text("\"");
    } else if (byte == ',') {
        end_field();
    } else if (byte == '\r' || byte == '\n') {
        return take_line_end(byte);
    } else {
        fail("text after a closing quote");
    }
    return 1;
}

std::size_t CsvReader::take_line_end(char byte) {
    if (byte == '\r' && state_ != State::cr) {
        state_ = State::cr;
    } else if (byte != '\n') {
        fail("a carriage return must be followed by a line feed");
    } else {
        end_line();
    }
    return 1;
}

void CsvReader::add_text(std::string_view text) {
    const std::size_t begin = field_count_ == 0 ? 0 : ends_[field_count_ - 1];
    if (text_.size() - begin + text.size() <= kMostFieldBytes) {
        text_ += text;
    } else if (state_ == State::plain) {
        fail("a field of more than 16 KiB");
    } else {
        fail_at_quote("this quoted field is longer than 16 KiB; is its quote never closed?");
    }
}

void CsvReader::end_field() {
    if (field_count_ == kMostColumns) return fail("more than 64 columns");
    ends_[field_count_++] = text_.size();
    state_ = State::field;
}

// At the LF, or behind the last byte.
void CsvReader::end_line() {
    if (field_count_ == 0 && text_.empty() && !has_quotes_) {
        ++empty_lines_;
        state_ = State::field;
    } else {
        end_field();
        if (state_ != State::stopped) hand_over();
    }
    ++line_;
    line_begin_ = offset_ + 1;
    record_line_ = line_;
}

void CsvReader::hand_over() {
    std::array<std::string_view, kMostColumns> fields;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < field_count_; begin = ends_[i++])
        fields[i] = std::string_view(text_).substr(begin, ends_[i] - begin);
    if (!on_record_({++records_, record_line_, std::span(fields).first(field_count_)})) state_ = State::stopped;
    text_.clear();
    field_count_ = 0;
    has_quotes_ = false;
}

// They were not the file's last ones.
void CsvReader::hand_over_empty_lines() {
    static constexpr std::array<std::string_view, 1> kOneEmptyField{};
    for (; empty_lines_ > 0 && state_ != State::stopped; --empty_lines_)
        if (!on_record_({++records_, record_line_ - empty_lines_, kOneEmptyField})) state_ = State::stopped;
}

void CsvReader::fail_at_quote(const std::string& why) {
    state_ = State::stopped;
    error_ = "line " + std::to_string(quote_line_) + ", column " + std::to_string(quote_column_) + ": " + why;
}

void CsvReader::fail(const std::string& why) {
    state_ = State::stopped;
    error_ = "line " + std::to_string(line_) + ", column " + std::to_string(column()) + ": " + why;
}

}  // namespace apikey
