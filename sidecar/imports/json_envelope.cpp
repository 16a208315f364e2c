#include "sidecar/imports/json_envelope.hpp"

#include <array>

namespace apikey {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"success", "exportDate", "format", "recordCount", "data"};
constexpr std::array<JsonKind, 5> kKinds = {JsonKind::boolean, JsonKind::text, JsonKind::text, JsonKind::number,
                                            JsonKind::array_begin};
constexpr std::array<const char*, 5> kKindNames = {"true or false", "a text", "a text", "a number", "an array"};
constexpr std::size_t kRecordCount = 3;
constexpr std::size_t kData = 4;
constexpr std::size_t kMostEnvelopeText = std::size_t{4} * 1024;

}  // namespace

JsonEnvelope::JsonEnvelope(RowErrors& errors) : errors_(errors), events_(*this), members_(kNames) {}

bool JsonEnvelope::finish() {
    if (!events_.finish()) return false;
    if (!members_.has(kData)) return refuse("the object has no member \"data\"");
    if (members_.has(kRecordCount) && record_count_ != std::to_string(rows_)) {
        errors_.begin_row(0);
        errors_.add(std::string(kNames[kRecordCount]), "is " + quoted_for_message(record_count_) + ", but there are " +
                                                           std::to_string(rows_) +
                                                           " rows in data: is the file complete?");
    }
    return true;
}

std::string JsonEnvelope::malformed() const {
    return refusal_.empty() ? events_.error() : events_.place() + ": " + refusal_;
}

std::size_t JsonEnvelope::most_text_bytes() const {
    return where_ == Where::row ? most_bytes_in_row() : kMostEnvelopeText;
}

bool JsonEnvelope::take(const JsonEvent& event) {
    if (where_ == Where::row || where_ == Where::data) {
        take_in_data(event);
        return true;
    }
    if (where_ == Where::members) return take_member(event);
    if (event.kind != JsonKind::object_begin) return refuse("the document must be an object");
    where_ = Where::members;
    return true;
}

bool JsonEnvelope::take_member(const JsonEvent& event) {
    if (skipped_.is_open()) {
        skipped_.take(event);
    } else if (event.kind == JsonKind::object_end) {
        where_ = Where::behind;
    } else if (event.kind == JsonKind::name) {
        const bool is_known = std::find(kNames.begin(), kNames.end(), event.text) != kNames.end();
        const auto complaint = members_.name(event.text);
        if (complaint && is_known) return refuse("the object " + *complaint);
    } else if (!members_.current()) {
        skipped_.begin(event);
    } else {
        const std::size_t member = *members_.current();
        if (event.kind != kKinds[member]) {
            return refuse("\"" + std::string(kNames[member]) + "\" must be " + kKindNames[member]);
        }
        if (member == kRecordCount) record_count_ = event.text;
        if (member == kData) where_ = Where::data;
    }
    return true;
}

void JsonEnvelope::take_in_data(const JsonEvent& event) {
    if (where_ == Where::row) {
        if (begins_value_with_parts(event.kind)) ++depth_in_row_;
        if (ends_value_with_parts(event.kind) && depth_in_row_-- == 0) {
            where_ = Where::data;
            return end_row();
        }
        return take_in_row(event);
    }
    if (skipped_.is_open()) return skipped_.take(event);
    if (event.kind == JsonKind::array_end) {
        where_ = Where::members;
        return;
    }
    errors_.begin_row(++rows_);
    if (event.kind == JsonKind::object_begin) {
        where_ = Where::row;
        depth_in_row_ = 0;
        return begin_row();
    }
    errors_.add("", "must be an object");
    skipped_.begin(event);
}

bool JsonEnvelope::refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
}

}  // namespace apikey
