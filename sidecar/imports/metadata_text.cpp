#include "sidecar/imports/metadata_text.hpp"

#include <algorithm>
#include <charconv>

#include "core/json_string.hpp"
#include "sidecar/imports/json_members.hpp"

namespace apikey {
namespace {

// Whether Postgres keeps it in a bearable number of digits. `number` is one of JSON's.
bool is_short(std::string_view number) {
    const std::size_t end = std::min(number.find_first_of("eE"), number.size());
    if (end > MetadataText::kMostDigits) return false;
    if (end == number.size()) return true;
    std::string_view exponent = number.substr(end + 1);
    if (exponent.starts_with('+')) exponent.remove_prefix(1);
    int value = 0;
    const auto [stop, error] = std::from_chars(exponent.begin(), exponent.end(), value);
    return error == std::errc{} && value <= MetadataText::kLargestExponent && value >= -MetadataText::kLargestExponent;
}

}  // namespace

void MetadataText::begin() {
    text_ = "{";
    depth_ = 1;
    needs_comma_ = false;
    complaint_.reset();
}

void MetadataText::take(const JsonEvent& event) {
    const bool ends = ends_value_with_parts(event.kind);
    if (needs_comma_ && !ends) text_ += ',';
    needs_comma_ = true;
    switch (event.kind) {
        case JsonKind::object_begin:
        case JsonKind::array_begin:
            text_ += event.kind == JsonKind::object_begin ? '{' : '[';
            needs_comma_ = false;
            if (++depth_ > kMostNesting) complain("is nested deeper than 32");
            break;
        case JsonKind::object_end:
        case JsonKind::array_end:
            text_ += event.kind == JsonKind::object_end ? '}' : ']';
            --depth_;
            break;
        case JsonKind::name:
            add_text(event);
            text_ += ':';
            needs_comma_ = false;
            break;
        default: add_value(event);
    }
    if (text_.size() > kMostBytes) complain("is longer than 256 KiB");
    if (complaint_) text_.clear();
}

void MetadataText::add_value(const JsonEvent& event) {
    if (event.kind == JsonKind::text) return add_text(event);
    if (event.kind == JsonKind::number && !is_short(event.text)) complain("has a number of too many digits");
    text_ += event.kind == JsonKind::null ? std::string_view("null") : event.text;
}

void MetadataText::add_text(const JsonEvent& event) {
    if (!event.whole) complain("is longer than 256 KiB");
    if (event.text.find('\0') != std::string_view::npos) {
        complain("holds a NUL character, which Postgres has no room for");
    }
    append_json_string(text_, event.text);
}

void MetadataText::complain(const char* what) {
    if (!complaint_) complaint_ = what;
}

}  // namespace apikey
