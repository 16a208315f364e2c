#include "core/redis/command.hpp"

#include <array>
#include <charconv>

namespace apikey::redis {
namespace {

void append_header(std::string& out, char type, std::size_t number) {
    std::array<char, 20> digits;  // the longest 64-bit number
    char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out += type;
    out.append(digits.data(), end);
    out += "\r\n";
}

}  // namespace

void append_command(std::string& out, std::span<const std::string_view> arguments) {
    append_header(out, '*', arguments.size());
    for (const std::string_view argument : arguments) {
        append_header(out, '$', argument.size());
        out += argument;
        out += "\r\n";
    }
}

void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
    append_command(out, std::span(arguments.begin(), arguments.size()));
}

}  // namespace apikey::redis
