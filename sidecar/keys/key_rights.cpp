#include "sidecar/keys/key_rights.hpp"

#include <algorithm>

#include "sidecar/keys/key_refused.hpp"

namespace apikey {
namespace {

bool has(const std::vector<std::string>& scopes, const std::string& scope) {
    return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

// What it is limited to; null: to nothing.
const std::vector<std::string>* limits_of(const KeyRights& rights) {
    return rights.scopes && !has(*rights.scopes, "*") ? &*rights.scopes : nullptr;
}

[[noreturn]] void refuse(const std::string& why) {
    throw KeyRefused(KeyRefused::Why::exceeds_rights, why);
}

}  // namespace

bool grants(const KeyRights& rights, const std::string& scope) {
    const auto* scopes = limits_of(rights);
    return scopes == nullptr || has(*scopes, scope);
}

void require_within(const KeyRights& wanted, const KeyRights& own) {
    if (const auto* own_scopes = limits_of(own)) {
        const auto* scopes = limits_of(wanted);
        if (scopes == nullptr)
            refuse("The key that asks has scopes, so a key of its making needs scopes, too: some of the same.");
        for (const std::string& scope : *scopes)
            if (!has(*own_scopes, scope)) refuse("The key that asks has not the scope \"" + scope + "\" itself.");
    }
    if (own.expires && (!wanted.expires || *wanted.expires > *own.expires))
        refuse("The key that asks expires, so a key of its making must expire no later.");
}

}  // namespace apikey
