// What Redis said of a key, packed: all texts one behind the other, as the key cache keeps them and a request has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/key_facts.hpp"

namespace apikey {

// How long the texts of a key are that lie one behind the other, nothing between them.
struct TextLengths {
    std::uint16_t id, user, name, prefix, scopes;

    [[nodiscard]] std::size_t sum() const noexcept { return std::size_t{id} + user + name + prefix + scopes; }
};

// What Redis said of a key, with all texts in one piece of somebody else's memory; id and user come first.
struct PackedFacts {
    const char* texts = nullptr;  // null: none, all lengths are 0
    TextLengths lengths{};
    std::int64_t expires = kNeverExpires;  // unix seconds

    [[nodiscard]] std::string_view id() const noexcept { return {texts, lengths.id}; }
    [[nodiscard]] std::string_view user() const noexcept { return {texts + lengths.id, lengths.user}; }
    [[nodiscard]] std::string_view name() const noexcept { return {user().end(), lengths.name}; }
    [[nodiscard]] std::string_view prefix() const noexcept { return {name().end(), lengths.prefix}; }
    [[nodiscard]] std::string_view scopes() const noexcept { return {prefix().end(), lengths.scopes}; }

    // Are these the same facts?
    [[nodiscard]] bool operator==(const KeyFacts& facts) const noexcept {
        return id() == facts.id && user() == facts.user && name() == facts.name && prefix() == facts.prefix &&
               scopes() == facts.scopes && expires == facts.expires;
    }
};

// How long all texts are together.
std::size_t text_bytes(const KeyFacts& facts) noexcept;
// The same facts, with their texts copied to `to`: text_bytes(facts) of the caller's memory, which outlives the result. No text
// is longer than kMaxFieldBytes, as decode_facts() sees to.
PackedFacts pack(const KeyFacts& facts, char* to) noexcept;

}  // namespace apikey
