#include "sidecar/ctl/json_text.hpp"

#include <nlohmann/json.hpp>

namespace apikey {
namespace {

std::string quoted(std::string_view value) {
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

JsonText& JsonText::open(char bracket) {
    begin_value();
    text_ += bracket;
    ++depth_;
    is_empty_ = true;
    return *this;
}

JsonText& JsonText::close(char bracket) {
    --depth_;
    if (!is_empty_) new_line();
    text_ += bracket;
    is_empty_ = false;
    return *this;
}

JsonText& JsonText::field(std::string_view name) {
    begin_value();
    text_ += quoted(name) + ": ";
    after_name_ = true;
    return *this;
}

JsonText& JsonText::text(std::string_view value) {
    begin_value();
    text_ += quoted(value);
    return *this;
}

JsonText& JsonText::word(std::string_view value) {
    begin_value();
    text_ += value;
    return *this;
}

// The comma and the line before a value, or before its name.
void JsonText::begin_value() {
    if (!after_name_ && depth_ > 0) {
        if (!is_empty_) text_ += ',';
        new_line();
    }
    after_name_ = false;
    is_empty_ = false;
}

void JsonText::new_line() {
    text_ += '\n';
    text_.append(2 * depth_, ' ');
}

}  // namespace apikey
