#include "core/packed_facts.hpp"

#include <limits>
#include <string>

namespace apikey {

std::size_t text_bytes(const KeyFacts& facts) noexcept {
    return facts.id.size() + facts.user.size() + facts.name.size() + facts.prefix.size() + facts.scopes.size();
}

PackedFacts pack(const KeyFacts& facts, char* to) noexcept {
    static_assert(kMaxFieldBytes <= std::numeric_limits<std::uint16_t>::max());
    auto append = [at = to](const std::string& text) mutable noexcept {
        at += text.copy(at, text.size());
        return static_cast<std::uint16_t>(text.size());
    };
    PackedFacts packed;
    packed.texts = to;
    packed.lengths.id = append(facts.id);
    packed.lengths.user = append(facts.user);
    packed.lengths.name = append(facts.name);
    packed.lengths.prefix = append(facts.prefix);
    packed.lengths.scopes = append(facts.scopes);
    packed.expires = facts.expires;
    return packed;
}

}  // namespace apikey
