#include "sidecar/keys/key_requests.hpp"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/iso_time.hpp"
#include "core/transfer/query_string.hpp"
#include "sidecar/duration.hpp"
#include "sidecar/keys/key_input.hpp"

namespace apikey {
namespace {

using Json = nlohmann::json;

// nlohmann's reader takes the last of several members of one name; nobody can have meant that.
struct Members {
    std::set<std::string> seen;
    std::optional<std::string> twice;

    bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
        if (event != Json::parse_event_t::key || depth != 1) return true;
        const auto& name = parsed.get_ref<const std::string&>();
        if (!seen.insert(name).second) twice = name;
        return true;
    }
};

Result<Json> read_object(std::string_view body, std::initializer_list<std::string_view> known) {
    Members members;
    Json json = Json::parse(body, std::ref(members), false);
    if (json.is_discarded()) return Error{"the body is no JSON in UTF-8"};
    if (!json.is_object()) return Error{"the body must be a JSON object"};
    if (members.twice) return Error{"the field " + quoted_for_message(*members.twice) + " stands twice"};
    for (const auto& [name, value] : json.items()) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        std::string names;
        for (const std::string_view each : known)
            names += (names.empty() ? "" : ", ") + std::string(each);
        return Error{"the field " + quoted_for_message(name) + " is unknown here; there is " + names};
    }
    return json;
}

// Null when it is not there.
const Json& field(const Json& object, const char* name) {
    static const Json kNull;
    const auto found = object.find(name);
    return found != object.end() ? *found : kNull;
}

Result<std::string> read_name(const Json& object) {
    const Json& name = field(object, "name");
    if (!object.contains("name")) return Error{"name is missing: what the key is to be called"};
    if (!name.is_string()) return Error{"name must be a text"};
    return check_name(name.get_ref<const std::string&>());
}

Result<std::optional<std::vector<std::string>>> read_scopes(const Json& object) {
    const Json& given = field(object, "scopes");
    if (given.is_null()) return std::optional<std::vector<std::string>>();
    std::vector<std::string> scopes;
    if (!given.is_array()) return Error{"scopes must be a list of texts, or null for everything"};
    for (const Json& scope : given) {
        if (!scope.is_string()) return Error{"scopes must be a list of texts, or null for everything"};
        scopes.push_back(scope.get<std::string>());
    }
    auto checked = check_scopes(scopes);
    if (!checked) return Error{"scopes: " + checked.error()};
    return std::optional(std::move(*checked));
}

Result<std::optional<std::chrono::sys_seconds>> read_expiry(const Json& object, std::chrono::sys_seconds now) {
    using Expiry = std::optional<std::chrono::sys_seconds>;
    const Json& given = field(object, "expiresAt");
    if (given.is_null()) return Expiry();
    if (!given.is_string()) return Error{"expiresAt must be a text, or null for never"};
    const auto& text = given.get_ref<const std::string&>();
    const auto time = parse_iso_time(text);
    if (!time)
        return Error{"expiresAt " + quoted_for_message(text) +
                     " is no date (2027-01-01) and no time with its zone (2027-01-01T12:00:00Z)"};
    const auto at = std::chrono::floor<std::chrono::seconds>(time->at);
    if (at <= now) return Error{"expiresAt " + quoted_for_message(text) + " is not in the future"};
    return Expiry(at);
}

}  // namespace

Result<NewKey> new_key_request(std::string_view body, std::chrono::sys_seconds now) {
    const auto object = read_object(body, {"name", "scopes", "expiresAt"});
    if (!object) return Error{object.error()};
    auto name = read_name(*object);
    if (!name) return Error{name.error()};
    auto scopes = read_scopes(*object);
    if (!scopes) return Error{scopes.error()};
    const auto expires = read_expiry(*object, now);
    if (!expires) return Error{expires.error()};
    return NewKey{{}, std::move(*name), std::move(*scopes), *expires};
}

Result<std::string> rename_request(std::string_view body) {
    const auto object = read_object(body, {"name"});
    if (!object) return Error{object.error()};
    return read_name(*object);
}

Result<std::chrono::seconds> rotate_request(std::string_view body) {
    if (body.empty()) return std::chrono::seconds(kDefaultOverlap);
    const auto object = read_object(body, {"overlap"});
    if (!object) return Error{object.error()};
    const Json& overlap = field(*object, "overlap");
    if (overlap.is_null()) return std::chrono::seconds(kDefaultOverlap);
    if (!overlap.is_string()) return Error{"overlap must be a text like \"24h\""};
    const auto duration = parse_duration(overlap.get_ref<const std::string&>());
    if (!duration) {
        return Error{"overlap " + quoted_for_message(overlap.get_ref<const std::string&>()) +
                     " is no duration; write it like 30m, 24h, 7d"};
    }
    return *duration;
}

}  // namespace apikey
