// Commands in the Redis serialization protocol (RESP2,
// https://redis.io/docs/reference/protocol-spec/).
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace apikey::redis {

// Appends one command as an array of bulk strings. Arguments may hold any bytes.
void append_command(std::string& out, std::span<const std::string_view> arguments);
void append_command(std::string& out, std::initializer_list<std::string_view> arguments);

}  // namespace apikey::redis
