// Redis replies built by hand, node by node, as the parser lays them out.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/redis/reply.hpp"

namespace apikey::test {

class ReplyBuilder {
  public:
    // The next `elements` values are its elements.
    ReplyBuilder& array(std::uint32_t elements) { return add({redis::ReplyType::array, elements, 0, 0, 0}); }
    ReplyBuilder& nil() { return add({redis::ReplyType::nil, 0, 0, 0, 0}); }
    ReplyBuilder& integer(std::int64_t value) { return add({redis::ReplyType::integer, 0, value, 0, 0}); }
    ReplyBuilder& string(std::string_view text) { return add(redis::ReplyType::string, text); }
    ReplyBuilder& status(std::string_view text) { return add(redis::ReplyType::status, text); }
    ReplyBuilder& error(std::string_view text) { return add(redis::ReplyType::error, text); }

    // Valid until the builder changes.
    [[nodiscard]] redis::ReplyView view() const { return {reply_, 0}; }

  private:
    ReplyBuilder& add(redis::Reply::Node node) {
        reply_.nodes.push_back(node);
        return *this;
    }
    ReplyBuilder& add(redis::ReplyType type, std::string_view text) {
        const std::size_t offset = reply_.bytes.size();
        reply_.bytes += text;
        return add({type, 0, 0, offset, text.size()});
    }

    redis::Reply reply_;
};

}  // namespace apikey::test
