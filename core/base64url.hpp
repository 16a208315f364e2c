// base64url without padding (RFC 4648 §5).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace apikey {

std::string to_base64url(std::string_view bytes);

// Nothing when `text` is none: other characters, an impossible length, or bits at the end that are not zero.
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace apikey
