// apikeyctl keys …: make, list, revoke and rotate keys.
#include <chrono>
#include <iostream>
#include <optional>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/key_command.hpp"
#include "sidecar/ctl/output.hpp"
#include "sidecar/duration.hpp"
#include "sidecar/keys/key_input.hpp"
#include "sidecar/keys/key_refused.hpp"

namespace apikey {
namespace {

// What `change` gives. Throws Refusal.
template <class Change>
auto or_refuse(const Change& change) {
    try {
        return change();
    } catch (const KeyRefused& refused) {
        throw Refusal{refused.what(), kFailed};
    }
}

}  // namespace
void run_create(const Arguments& arguments) {
    NewKey key;
    key.user = or_refuse(check_user(arguments.user), kWrongUse);
    key.name = or_refuse(check_name(arguments.name), kWrongUse);
    if (!arguments.scopes.empty()) key.scopes = or_refuse(check_scopes(arguments.scopes), kWrongUse);
    if (!arguments.expires.empty()) {
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        key.expires = or_refuse(parse_expiry(arguments.expires, now), kWrongUse);
    }
    KeyCommand command(arguments);
    const MadeKey made = command.store.create(key, command.receipt);
    const Confirmation confirmation = command.wait();
    if (arguments.json) {
        Json json = {{"success", true}, {"id", made.record.id}, {"key", made.key}};
        json.update(to_json(made.record, Reader::apikeyctl));
        add_confirmation(json, confirmation);
        print_json(json);
    } else {
        print_made_key(made, confirmation);
    }
    remark(confirmation);
}

void run_list(const Arguments& arguments) {
    KeyCommand command(arguments);
    std::optional<std::string> user;
    if (!arguments.user.empty()) user = arguments.user;
    const std::vector<KeyRecord> records = command.store.list(user);
    if (!arguments.json) {
        print_table(records);
        return;
    }
    Json keys = Json::array();
    for (const KeyRecord& record : records)
        keys.push_back(to_json(record, Reader::apikeyctl));
    print_json({{"success", true}, {"keys", keys}});
}

void run_revoke(const Arguments& arguments) {
    KeyCommand command(arguments);
    const KeyRecord record = or_refuse([&] { return command.store.revoke(arguments.id, command.receipt); });
    const Confirmation confirmation = command.wait();
    if (arguments.json) {
        Json json = {{"success", true}, {"id", record.id}};
        add_confirmation(json, confirmation);
        print_json(json);
    } else if (confirmation.in_force()) {
        std::cout << record.id << " is refused" << by_whom(confirmation, " by") << "\n";
    } else {
        std::cout << record.id << " is revoked\n";
    }
    remark(confirmation);
}

void run_rotate(const Arguments& arguments) {
    const auto overlap = or_refuse(parse_duration(arguments.overlap), kWrongUse);
    KeyCommand command(arguments);
    const RotatedKey rotated = or_refuse([&] { return command.store.rotate(arguments.id, overlap, command.receipt); });
    const Confirmation confirmation = command.wait();
    if (arguments.json) {
        const MadeKey& made = rotated.made;
        Json json = {{"success", true}, {"id", made.record.id}, {"key", made.key}};
        json.update(to_json(made.record, Reader::apikeyctl));
        json["replaces"] = to_json(rotated.old, Reader::apikeyctl);
        add_confirmation(json, confirmation);
        print_json(json);
    } else {
        print_made_key(rotated.made, confirmation);
        std::cout << "The old key " << rotated.old.id << " ends at " << rotated.old.expires_at.value_or("never")
                  << ".\n";
    }
    remark(confirmation);
}

}  // namespace apikey
