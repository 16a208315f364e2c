#include "sidecar/keys/key_row.hpp"

#include <algorithm>
#include <utility>

#include "core/byte_run.hpp"
#include "core/digest.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {
namespace {

bool good_scope(std::string_view scope) {
    return !scope.empty() && scope.find(' ') == std::string_view::npos && !has_control_byte(scope);
}

// One element at the front of `rest`, which is taken off; nothing when it is no plain element.
// An unquoted NULL is no scope.
std::optional<std::string> take_element(std::string_view& rest) {
    std::string element;
    if (rest.starts_with('"')) {
        std::size_t i = 1;
        for (; i < rest.size() && rest[i] != '"'; ++i) {
            if (rest[i] == '\\') ++i;
            if (i < rest.size()) element += rest[i];
        }
        if (i >= rest.size()) return std::nullopt;
        rest.remove_prefix(i + 1);
        return element;
    }
    const auto end = std::min(rest.find_first_of(",{}"), rest.size());
    element = rest.substr(0, end);
    rest.remove_prefix(end);
    if (element == "NULL") return std::nullopt;
    return element;
}

}  // namespace

KeyRow key_row(const PgResult& result, int row) {
    KeyRow key;
    key.hash = cell(result, row, 0);
    key.id = cell(result, row, 1);
    key.user = cell(result, row, 2);
    key.name = cell(result, row, 3);
    key.prefix = cell(result, row, 4);
    if (!is_null(result, row, 5)) key.scopes = cell(result, row, 5);
    key.expires = cell(result, row, 6);
    key.active = cell(result, row, 7) == "t";
    return key;
}

Result<KeyFields> KeyFields::of(const KeyRow& row) {
    if (!from_hex(row.hash)) return Error{"its key_hash is not 64 lower-case hex digits"};
    if (row.id.empty()) return Error{"it has no id"};
    if (row.user.empty()) return Error{"its user_id is empty"};
    std::string scopes = "*";
    if (row.scopes) {
        auto joined = join_scopes(*row.scopes);
        if (!joined) return Error{joined.error()};
        scopes = std::move(*joined);
    }
    KeyFields fields(row, std::move(scopes));
    for (const std::string_view value : fields.values()) {
        if (value.size() > kMaxFieldBytes) return Error{"a column is longer than 4096 bytes"};
        if (has_control_byte(value)) return Error{"a column holds a control character"};
    }
    return fields;
}

Result<std::string> join_scopes(std::string_view array) {
    const Error wrong{"its scopes hold an empty one, a NULL, a space or a control character"};
    if (array == "{}") return std::string();
    if (!array.starts_with('{') || array.find('}') == std::string_view::npos) return wrong;
    std::string joined;
    do {
        array.remove_prefix(1);  // the { or the comma
        const auto element = take_element(array);
        if (!element || !good_scope(*element)) return wrong;
        if (!joined.empty()) joined += ' ';
        joined += *element;
    } while (array.starts_with(','));
    if (array != "}") return wrong;
    return joined;
}

std::string array_literal(const std::vector<std::string>& elements) {
    std::string literal = "{";
    for (const std::string& element : elements) {
        literal += literal.size() > 1 ? ",\"" : "\"";
        for (const char c : element) {
            if (c == '"' || c == '\\') literal += '\\';
            literal += c;
        }
        literal += '"';
    }
    return literal + "}";
}

}  // namespace apikey
