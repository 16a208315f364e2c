// A key may not make a key that may do more than itself, or lives longer (hazard V9).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace apikey {

struct KeyRights {
    std::optional<std::vector<std::string>> scopes;  // nullopt, or a "*" among them: everything
    std::optional<std::int64_t> expires;             // unix seconds; nullopt: never
};

// Whether a key with these rights has this scope.
bool grants(const KeyRights& rights, const std::string& scope);

// Throws KeyRefused (exceeds_rights), which says what of `wanted` is too much for a key with `own` rights.
void require_within(const KeyRights& wanted, const KeyRights& own);

}  // namespace apikey
