#include "sidecar/keys/key_rights.hpp"

#include <algorithm>

#include "sidecar/keys/key_refused.hpp"

namespace apikey {
namespace {

bool has(const std::vector<std::string>& scopes, const std::string& scope) {
    return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

bool may_everything(const KeyRights& rights) {
    return !rights.scopes || has(*rights.scopes, "*");
}

[[noreturn]] void refuse(const std::string& why) {
    throw KeyRefused(KeyRefused::Why::exceeds_rights, why);
}

}  // namespace

void require_within(const KeyRights& wanted, const KeyRights& own) {
    if (!may_everything(own)) {
        if (may_everything(wanted))
            refuse("The key that asks has scopes, so a key of its making needs scopes, too: some of the same.");
        for (const std::string& scope : *wanted.scopes)
            if (!has(*own.scopes, scope)) refuse("The key that asks has not the scope \"" + scope + "\" itself.");
    }
    if (own.expires && (!wanted.expires || *wanted.expires > *own.expires))
        refuse("The key that asks expires, so a key of its making must expire no later.");
}

}  // namespace apikey
