// Replies as text that says everything about them, so that tests can compare and print them.
#pragma once

#include <string>

#include "core/redis/reply.hpp"

namespace apikey::test {

// "text" string, +text status, -text error, :7 integer, nil, [a b] array.
inline std::string describe(const redis::ReplyView& reply) {
    const std::string text(reply.text());
    switch (reply.type()) {
        case redis::ReplyType::string: return '"' + text + '"';
        case redis::ReplyType::status: return '+' + text;
        case redis::ReplyType::error: return '-' + text;
        case redis::ReplyType::integer: return ':' + std::to_string(reply.integer());
        case redis::ReplyType::nil: return "nil";
        case redis::ReplyType::array: break;
    }
    std::string all = "[";
    for (std::size_t i = 0; i < reply.size(); ++i)
        all += (i > 0 ? " " : "") + describe(reply[i]);
    return all + ']';
}

}  // namespace apikey::test
