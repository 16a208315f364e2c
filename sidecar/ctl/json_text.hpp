// Writes JSON as print_json does, for values that nlohmann's has no type for: numbers of any size, written exactly.
//
//   json.open('{').field("requests").number("18446744073709551616").field("data").open('[').close(']').close('}');
#pragma once

#include <string>
#include <string_view>

namespace apikey {

class JsonText {
  public:
    // '{' or '[', and its end.
    JsonText& open(char bracket);
    JsonText& close(char bracket);
    // The name of the next value, in an object.
    JsonText& field(std::string_view name);

    JsonText& text(std::string_view value);                             // bytes that are no UTF-8 are replaced
    JsonText& number(std::string_view digits) { return word(digits); }  // as it is: it must be a JSON number
    JsonText& word(std::string_view value);                             // true, false, null

    [[nodiscard]] const std::string& str() const noexcept { return text_; }

  private:
    void begin_value();
    void new_line();

    std::string text_;
    std::size_t depth_ = 0;
    bool after_name_ = false;  // the value stands on the line of its name
    bool is_empty_ = true;     // what was opened last holds nothing yet
};

}  // namespace apikey
