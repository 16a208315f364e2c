// The query of a URL, as forms and URLSearchParams write it (WHATWG URL §5, application/x-www-form-urlencoded).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace apikey {

struct QueryParameter {
    std::string name;
    std::string value;  // UTF-8 without NUL; may be empty

    friend bool operator==(const QueryParameter&, const QueryParameter&) = default;
};
using QueryParameters = std::vector<QueryParameter>;

inline constexpr std::size_t kMostQueryBytes = 16 * 1024;

// `query` without its "?", decoded; what is named in `ignored` is left out, however it is written. Error, which names the parameter:
// it stands twice, is not percent-encoded UTF-8, or holds a NUL. Empty pieces ("a=1&&b=2") are nothing.
Result<QueryParameters> read_query(std::string_view query, std::span<const std::string_view> ignored = {});

// The reverse: only letters, digits and -._~ stand as they are.
std::string write_query(const QueryParameters& parameters);

// For messages: `text` in quotes, at most 64 bytes of it, without control bytes and broken characters.
std::string quoted_for_message(std::string_view text);

}  // namespace apikey
