#include "sidecar/imports/json_events.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>

namespace apikey {
namespace {

namespace json = boost::json;

// What is wrong is found after so many bytes at the latest, however much is fed at once.
constexpr std::size_t kMostAtOnce = std::size_t{64} * 1024;

// What Boost.JSON's parser calls. Strings and numbers come in parts.
class Handler {
  public:
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    explicit Handler(JsonTaker& taker) : taker_(taker) {}

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code& error) { return hand_on({JsonKind::object_begin, {}, true}, error); }
    bool on_object_end(std::size_t, json::error_code& error) {
        return hand_on({JsonKind::object_end, {}, true}, error);
    }
    bool on_array_begin(json::error_code& error) { return hand_on({JsonKind::array_begin, {}, true}, error); }
    bool on_array_end(std::size_t, json::error_code& error) { return hand_on({JsonKind::array_end, {}, true}, error); }
    bool on_bool(bool value, json::error_code& error) {
        return hand_on({JsonKind::boolean, value ? "true" : "false", true}, error);
    }
    bool on_null(json::error_code& error) { return hand_on({JsonKind::null, {}, true}, error); }

    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        return keep(part, JsonEvents::kMostNameBytes);
    }
    bool on_key(json::string_view part, std::size_t, json::error_code& error) {
        keep(part, JsonEvents::kMostNameBytes);
        return hand_on_kept(JsonKind::name, error);
    }
    bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
        return keep(part, taker_.most_text_bytes());
    }
    bool on_string(json::string_view part, std::size_t, json::error_code& error) {
        keep(part, taker_.most_text_bytes());
        return hand_on_kept(JsonKind::text, error);
    }

    bool on_number_part(json::string_view part, json::error_code& error) {
        keep(part, JsonEvents::kMostNumberBytes);
        if (!whole_) error = json::error::string_too_large;  // strings are never: they are cut
        return whole_;
    }
    bool on_int64(std::int64_t, json::string_view part, json::error_code& error) { return on_number(part, error); }
    bool on_uint64(std::uint64_t, json::string_view part, json::error_code& error) { return on_number(part, error); }
    bool on_double(double, json::string_view part, json::error_code& error) { return on_number(part, error); }

    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

    [[nodiscard]] bool was_stopped() const noexcept { return was_stopped_; }

  private:
    bool on_number(json::string_view part, json::error_code& error) {
        return on_number_part(part, error) && hand_on_kept(JsonKind::number, error);
    }

    bool keep(json::string_view part, std::size_t most) {
        const std::size_t room = most - std::min(most, kept_.size());
        whole_ = whole_ && part.size() <= room;
        kept_.append(part.data(), std::min(part.size(), room));
        return true;
    }

    bool hand_on_kept(JsonKind kind, json::error_code& error) {
        const bool wanted = hand_on({kind, kept_, whole_}, error);
        kept_.clear();
        whole_ = true;
        return wanted;
    }

    bool hand_on(const JsonEvent& event, json::error_code& error) {
        if (taker_.take(event)) return true;
        was_stopped_ = true;
        error = json::error::exception;  // which is not looked at
        return false;
    }

    JsonTaker& taker_;
    std::string kept_;  // of the string or number that has begun
    bool whole_ = true;
    bool was_stopped_ = false;
};

json::parse_options options() {
    json::parse_options options;
    options.max_depth = JsonEvents::kMostNesting;
    return options;
}

std::string words_for(const json::error_code& error) {
    if (error == json::error::incomplete) return "the document is not complete";
    if (error == json::error::too_deep) {
        return "arrays and objects nested deeper than " + std::to_string(JsonEvents::kMostNesting);
    }
    if (error == json::error::string_too_large) {
        return "a number of more than " + std::to_string(JsonEvents::kMostNumberBytes) + " bytes";
    }
    if (error == json::error::exponent_overflow) return "a number with too large an exponent";
    if (error == json::error::syntax) return "this is no JSON";
    return error.message();
}

}  // namespace

class JsonEvents::Parser : public json::basic_parser<Handler> {
    using json::basic_parser<Handler>::basic_parser;
};

JsonEvents::JsonEvents(JsonTaker& taker) : parser_(std::make_unique<Parser>(options(), taker)) {}

JsonEvents::~JsonEvents() = default;

bool JsonEvents::feed(std::string_view bytes) {
    for (; !bytes.empty() && !is_stopped_; bytes.remove_prefix(std::min(kMostAtOnce, bytes.size())))
        write(true, bytes.substr(0, kMostAtOnce));
    return !is_stopped_;
}

bool JsonEvents::finish() {
    const bool is_good = !is_stopped_ && write(false, "");
    is_stopped_ = true;
    return is_good;
}

bool JsonEvents::write(bool more, std::string_view bytes) {
    json::error_code error;
    const std::size_t parsed = parser_->write_some(more, bytes.data(), bytes.size(), error);
    const std::string_view done = bytes.substr(0, parsed);
    bytes_ += done.size();
    lines_ += static_cast<std::uint64_t>(std::count(done.begin(), done.end(), '\n'));
    if (!error && parsed == bytes.size()) return true;
    is_stopped_ = true;
    if (!parser_->handler().was_stopped()) {
        error_ = place() + ": " + (error ? words_for(error) : "there is more behind the document");
    }
    return false;
}

std::string JsonEvents::place() const {
    return "line " + std::to_string(lines_ + 1) + " (byte " + std::to_string(bytes_ + 1) + ")";
}

}  // namespace apikey
