// One reply of Redis as a flat list of nodes over one block of bytes: no allocation per element,
// and both blocks are used again for the next reply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace apikey::redis {

enum class ReplyType : std::uint8_t { string, status, error, integer, nil, array };

// Storage of one reply, in pre-order: an array's node is followed by its elements' nodes.
struct Reply {
    struct Node {
        ReplyType type;
        std::uint32_t elements;  // arrays: how many elements follow
        std::int64_t integer;    // integers: the value
        std::size_t offset;      // strings, statuses, errors: where in `bytes`
        std::size_t length;
    };
    std::vector<Node> nodes;
    std::string bytes;

    void clear() noexcept {
        nodes.clear();
        bytes.clear();
    }
};

// A look at one node; valid as long as the Reply is unchanged.
class ReplyView {
  public:
    // Looks at nothing yet; only to be assigned to.
    ReplyView() noexcept = default;
    ReplyView(const Reply& reply, std::size_t node) noexcept : reply_(&reply), node_(node) {}

    [[nodiscard]] ReplyType type() const noexcept { return node().type; }
    [[nodiscard]] bool is(ReplyType type) const noexcept { return node().type == type; }
    [[nodiscard]] bool is_text() const noexcept { return is(ReplyType::string) || is(ReplyType::status); }

    // Strings, statuses and errors: the bytes, else empty.
    [[nodiscard]] std::string_view text() const noexcept;
    // Integers: the value, else 0.
    [[nodiscard]] std::int64_t integer() const noexcept { return node().integer; }
    // Arrays: the number of elements, else 0.
    [[nodiscard]] std::size_t size() const noexcept { return node().elements; }
    // Arrays: element `index`, which must be less than size(). Walks over the elements before it.
    [[nodiscard]] ReplyView operator[](std::size_t index) const noexcept;
    // Arrays: hands over one element after the other.
    template <class Visit>
    void for_each(Visit visit) const {
        ReplyView element(*reply_, node_ + 1);
        for (std::size_t i = 0; i < size(); ++i, element.node_ = element.after())
            visit(element);
    }

  private:
    [[nodiscard]] const Reply::Node& node() const noexcept { return reply_->nodes[node_]; }
    // The place after this node and everything below it.
    [[nodiscard]] std::size_t after() const noexcept;

    const Reply* reply_ = nullptr;
    std::size_t node_ = 0;
};

// The value of `field` in the text that INFO gives ("field:value" lines, each ended by CRLF); empty where there is none.
std::string_view info_field(std::string_view info, std::string_view field) noexcept;

// What the reply to TIME says, in microseconds; nothing when it is none. Who makes milliseconds of it knows which way to
// round.
std::optional<std::int64_t> micros_of_time(const ReplyView& reply) noexcept;

// The first word of an error reply ("WRONGTYPE", "NOAUTH", …), or "ERR" if it does not look like
// one. Safe to log: Redis repeats the arguments of a command in some messages, and those can name a
// key's hash.
std::string_view error_code(std::string_view error_text) noexcept;

}  // namespace apikey::redis
