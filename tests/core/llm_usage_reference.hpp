// What LlmUsage is to read out of a whole body, written down plainly over nlohmann's parser: the reference of the differential
// test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/llm_usage_reading.hpp"

namespace apikey::test {

// Remembers where in the document each value is, as the names on the way there ("[" for an array).
class ReferenceReader : public nlohmann::json_sax<nlohmann::json> {
  public:
    bool null() override { return value("null", {}); }
    bool boolean(bool) override { return value("boolean", {}); }
    bool number_integer(number_integer_t) override { return value("negative", {}); }
    bool number_unsigned(number_unsigned_t number) override {
        const bool counts = number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        return value("number", counts ? std::optional(number) : std::nullopt);
    }
    bool number_float(number_float_t, const string_t&) override { return value("number", {}); }
    bool string(string_t& text) override {
        if (is_at({"model"}) && !text.empty()) model = text;
        return value("text", {});
    }
    bool binary(binary_t&) override { return false; }
    bool key(string_t& name) override {
        path_.back() = name;
        return true;
    }
    bool start_object(std::size_t) override {
        if (path_.empty()) is_object = true;
        if (is_at({"usage"})) {
            draft_ = Reading{};
            has_prompt_ = false;
            good_ = true;
        } else if (!is_at({"usage", "prompt_tokens_details"}) && !is_at({"usage", "input_tokens_details"})) {
            value("object", {});
        }
        return deeper("");
    }
    bool end_object() override {
        path_.pop_back();
        if (is_at({"usage"}) && good_ && has_prompt_) {
            draft_.cached = std::min(draft_.cached, draft_.in);
            usage = draft_;
        }
        return true;
    }
    bool start_array(std::size_t) override {
        value("array", {});
        return deeper("[");
    }
    bool end_array() override {
        path_.pop_back();
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
        error_at = position;
        return false;
    }

    std::optional<Reading> usage;  // the last whole one
    std::string model;
    bool is_object = false;
    bool misfit = false;
    bool too_deep = false;
    std::size_t error_at = 0;

  private:
    // Whether the value that begins is there, or there in "response".
    [[nodiscard]] bool is_at(std::vector<std::string> path) const {
        if (path_ == path) return true;
        path.insert(path.begin(), "response");
        return path_ == path;
    }
    bool deeper(const char* mark) {
        path_.emplace_back(mark);
        too_deep = path_.size() > usage::LlmUsage::kDeepest;
        return !too_deep;
    }
    bool value(std::string_view type, std::optional<std::uint64_t> count) {
        if (type == "null") return true;
        const auto counted = [&](const char* one, const char* other, std::uint64_t& target) {
            if (!is_at({"usage", one}) && !is_at({"usage", other})) return false;
            target = count.value_or(0);
            if (!count) good_ = false, misfit = true;
            return true;
        };
        if (counted("prompt_tokens", "input_tokens", draft_.in)) has_prompt_ = true;
        counted("completion_tokens", "output_tokens", draft_.out);
        for (const char* const details : {"prompt_tokens_details", "input_tokens_details"}) {
            if (is_at({"usage", details})) good_ = false, misfit = true;
            if (!is_at({"usage", details, "cached_tokens"})) continue;
            draft_.cached = count.value_or(0);
            if (!count) good_ = false, misfit = true;
        }
        if (is_at({"usage"})) misfit = true;
        return true;
    }

    std::vector<std::string> path_;
    Reading draft_;
    bool has_prompt_ = false;
    bool good_ = true;
};

// "model" as it is handed out: no NUL, cut at a character.
inline std::string reference_model(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at + 1;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
            ++end;
        const std::string character = text[at] == '\0' ? "\xef\xbf\xbd" : text.substr(at, end - at);
        if (out.size() + character.size() > usage::LlmUsage::kMostModelBytes) break;
        out += character;
        at = end;
    }
    return out;
}

// Takes one document into account.
inline void read_reference_document(const std::string& text, Reading& reading) {
    ReferenceReader reader;
    const bool whole = nlohmann::json::sax_parse(text, &reader) && reader.is_object;
    const bool cut_off = !reader.too_deep && reader.error_at > text.size();
    if (!reader.model.empty()) reading.model = reference_model(reader.model);
    const std::string model = reading.model;
    if ((whole || cut_off) && reader.usage) {
        reading = *reader.usage;
        reading.outcome = Outcome::found;
        reading.model = model;
    } else if ((!whole || reader.misfit) && reading.outcome == Outcome::absent) {
        reading.outcome = Outcome::malformed;
    }
}

inline Reading reference_json(const std::string& body) {
    Reading reading;
    read_reference_document(body, reading);
    return reading;
}

inline Reading reference_stream(const std::string& body) {
    std::vector<std::string> lines(1);
    for (std::size_t at = 0; at < body.size(); ++at) {
        if (body[at] != '\r' && body[at] != '\n') {
            lines.back() += body[at];
            continue;
        }
        if (body.substr(at, 2) == "\r\n") ++at;
        lines.emplace_back();
    }
    // The last line has no end: it is a line of data as far as it has come, if it is one at all.
    if (lines.back() == "data") lines.back().clear();
    lines.insert(lines.end(), 2, "");

    Reading reading;
    std::string data;
    for (std::string line : lines) {
        if (line == "data") line = "data:";
        if (line.starts_with("data: ")) line.erase(5, 1);
        if (line.starts_with("data:")) data += line.substr(5) + '\n';
        if (!line.empty()) continue;
        const std::size_t first = std::min(data.find_first_not_of(" \t\n"), data.size());
        data = data.substr(first, data.find_last_not_of(" \t\n") + 1 - first);
        if (!data.empty() && data != "[DONE]") read_reference_document(data, reading);
        data.clear();
    }
    return reading;
}

}  // namespace apikey::test
