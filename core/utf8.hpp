// UTF-8 (RFC 3629), for texts that must go into Postgres, which takes nothing else and no NUL.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace apikey {

// Is this UTF-8, of the shortest forms, without surrogates? NUL is.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

// `text` as UTF-8 without NUL of at most scratch.size() bytes, cut between two characters: `text` itself where it is that
// already, else a copy in `scratch` with U+FFFD in place of each byte that cannot stand.
[[nodiscard]] std::string_view clean_utf8(std::string_view text, std::span<char> scratch) noexcept;

}  // namespace apikey
