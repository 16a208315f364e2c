#include "core/policy.hpp"

#include <algorithm>

namespace apikey {

bool grants(std::string_view scopes, std::string_view wanted) noexcept {
    while (!scopes.empty()) {
        const std::size_t end = std::min(scopes.find(' '), scopes.size());
        const std::string_view scope = scopes.substr(0, end);
        if (scope == "*" || (!scope.empty() && scope == wanted)) return true;
        scopes.remove_prefix(std::min(end + 1, scopes.size()));
    }
    return false;
}

bool valid_scope(std::string_view scope) noexcept {
    return !scope.empty() && std::all_of(scope.begin(), scope.end(),
                                         [](char c) { return c >= 0x21 && c <= 0x7e && c != '"' && c != '\\'; });
}

}  // namespace apikey
