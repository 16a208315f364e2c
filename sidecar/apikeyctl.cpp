// apikeyctl: what an operator does with keys and the database from a shell (DESIGN §3.4). Exit status 0, 1
// (failed) or 2 (wrong use).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/ctl_output.hpp"
#include "sidecar/duration.hpp"
#include "sidecar/key_input.hpp"
#include "sidecar/key_store.hpp"
#include "sidecar/migrate.hpp"
#include "sidecar/postgres.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/settings.hpp"

namespace apikey {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;
constexpr std::chrono::seconds kWaitForKey{2};
constexpr std::chrono::seconds kWaitForPass{60};

// Everything that the command line says; each command reads its own.
struct Arguments {
    std::string config = kDefaultConfigFile;
    bool json = false;
    std::string postgres;
    bool enable_rls = false;
    std::string user;
    std::string name;
    std::vector<std::string> scopes;
    std::string expires;
    std::string id;
    std::string overlap = "24h";
};

// Ends a command: the message for stderr and the exit status.
struct Refusal {
    std::string message;
    int status = kFailed;
};

template <class T>
T or_refuse(Result<T> result, int status) {
    if (!result.ok()) throw Refusal{result.error(), status};
    return std::move(*result);
}

Settings settings_of(const Arguments& arguments) {
    return or_refuse(load_settings(arguments.config), kFailed);
}

// As whom to migrate.
std::string dsn_of(const Arguments& arguments) {
    auto dsn = parse_postgres(arguments.postgres);
    if (!dsn) throw Refusal{"--postgres " + dsn.error(), kWrongUse};
    return *dsn;
}

Postgres::Options connection_options() {
    Postgres::Options options;
    options.application = "apikeyctl";
    return options;
}

// A connection to a database of the right schema, and what is done with keys over it.
struct KeyCommand {
    explicit KeyCommand(const Arguments& arguments)
        : settings(settings_of(arguments)),
          postgres(settings.postgres, connection_options()),
          listener((require_schema(postgres), postgres)),
          store(postgres, settings.key_prefix) {}

    // After a change was committed: when is it in force?
    Confirmation wait(std::chrono::milliseconds most) {
        const auto committed = Clock::now();
        Confirmation confirmation;
        confirmation.done = listener.wait(receipt, most);
        confirmation.milliseconds =
            std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - committed).count();
        return confirmation;
    }

    Settings settings;
    Postgres postgres;
    DoneListener listener;
    KeyStore store;
    Receipt receipt = new_receipt();
};

void run_migrate(const Arguments& arguments) {
    std::vector<std::string> notices;
    MigrateOptions options;
    options.enable_rls = arguments.enable_rls;
    options.on_notice = [&](std::string_view notice) {
        notices.emplace_back(notice);
        if (!arguments.json) std::cout << "  " << notice << "\n";
    };
    const std::string dsn = arguments.postgres.empty() ? settings_of(arguments).postgres : dsn_of(arguments);
    const std::vector<std::string> applied = migrate(dsn, options);
    if (arguments.json) {
        print_json({{"success", true}, {"applied", applied}, {"version", schema_version()}, {"notices", notices}});
        return;
    }
    for (const std::string& name : applied)
        std::cout << name << ": applied\n";
    if (applied.empty()) {
        std::cout << "nothing to do: the database has schema version " << schema_version() << "\n";
    }
}

void run_sync(const Arguments& arguments) {
    KeyCommand command(arguments);
    command.postgres.query("SELECT pg_notify($1, $2)", {kChangedChannel, format_change("", command.receipt)});
    const Confirmation confirmation = command.wait(kWaitForPass);
    if (!confirmation.in_force()) throw Refusal{"no apikeyd has done a full pass within 60 s; does it run?"};
    if (arguments.json) {
        Json json = {{"success", true}};
        add_confirmation(json, confirmation);
        print_json(json);
        return;
    }
    std::cout << "Redis has exactly the active keys (" << confirmation.milliseconds << " ms)\n";
}

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
    const Confirmation confirmation = command.wait(kWaitForKey);
    if (arguments.json) {
        Json json = {{"success", true}, {"id", made.record.id}, {"key", made.key}};
        json.update(to_json(made.record));
        add_confirmation(json, confirmation);
        print_json(json);
    } else {
        print_made_key(made);
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
        keys.push_back(to_json(record));
    print_json({{"success", true}, {"keys", keys}});
}

void run_revoke(const Arguments& arguments) {
    KeyCommand command(arguments);
    const KeyRecord record = or_refuse(command.store.revoke(arguments.id, command.receipt), kFailed);
    const Confirmation confirmation = command.wait(kWaitForKey);
    if (arguments.json) {
        Json json = {{"success", true}, {"id", record.id}};
        add_confirmation(json, confirmation);
        print_json(json);
    } else if (confirmation.in_force()) {
        std::cout << record.id << " is revoked and refused (" << confirmation.milliseconds << " ms)\n";
    } else {
        std::cout << record.id << " is revoked\n";
    }
    remark(confirmation);
}

void run_rotate(const Arguments& arguments) {
    const auto overlap = or_refuse(parse_duration(arguments.overlap), kWrongUse);
    KeyCommand command(arguments);
    const RotatedKey rotated = or_refuse(command.store.rotate(arguments.id, overlap, command.receipt), kFailed);
    const Confirmation confirmation = command.wait(kWaitForKey);
    if (arguments.json) {
        const MadeKey& made = rotated.made;
        Json json = {{"success", true}, {"id", made.record.id}, {"key", made.key}};
        json.update(to_json(made.record));
        json["replaces"] = to_json(rotated.old);
        add_confirmation(json, confirmation);
        print_json(json);
    } else {
        print_made_key(rotated.made);
        std::cout << "The old key " << rotated.old.id << " ends at " << rotated.old.expires_at.value_or("never")
                  << ".\n";
    }
    remark(confirmation);
}

// One command: its own options are added to what this returns.
CLI::App* add_command(CLI::App& parent, const char* name, const char* does, Arguments& arguments,
                      void (*run)(const Arguments&), std::function<void()>& chosen) {
    CLI::App* command = parent.add_subcommand(name, does);
    command->fallthrough();  // --config and --json may stand behind the command too
    command->callback([&arguments, &chosen, run] { chosen = [&arguments, run] { run(arguments); }; });
    return command;
}

void add_key_commands(CLI::App& app, Arguments& arguments, std::function<void()>& chosen) {
    CLI::App& keys = *app.add_subcommand("keys", "make, list, revoke and rotate keys");
    keys.require_subcommand(1);
    keys.fallthrough();

    CLI::App* create = add_command(keys, "create", "make a key and show it, once", arguments, run_create, chosen);
    create->add_option("--user", arguments.user, "whose key it is")->required();
    create->add_option("--name", arguments.name, "what it is called, at most 200 characters")->required();
    create->add_option("--scope", arguments.scopes, "what it may do; repeat for more (default: all)")
        ->allow_extra_args(false);
    create->add_option("--expires", arguments.expires, "when it ends: 30d, 2027-01-01 or a time in UTC");

    CLI::App* list = add_command(keys, "list", "list keys", arguments, run_list, chosen);
    list->add_option("--user", arguments.user, "only this user's");

    CLI::App* revoke = add_command(keys, "revoke", "refuse a key from now on", arguments, run_revoke, chosen);
    revoke->add_option("ID", arguments.id, "the key's id")->required();

    CLI::App* rotate =
        add_command(keys, "rotate", "replace a key by a new one of the same settings", arguments, run_rotate, chosen);
    rotate->add_option("ID", arguments.id, "the key's id")->required();
    rotate->add_option("--overlap", arguments.overlap, "how long the old key still works")->capture_default_str();
}

int run(int argc, char** argv) {
    Arguments arguments;
    std::function<void()> chosen;
    CLI::App app{"apikeyctl: API keys and their database", "apikeyctl"};
    app.require_subcommand(1);
    app.add_option("--config", arguments.config, "apikeyd's settings (YAML)")->capture_default_str();
    app.add_flag("--json", arguments.json, "print one JSON value");
    CLI::App* migrate_command =
        add_command(app, "migrate", "bring the database to this version's schema", arguments, run_migrate, chosen);
    migrate_command->add_option("--postgres", arguments.postgres,
                                "as whom, instead of the settings': the owner of api_keys or a superuser");
    migrate_command->add_flag("--enable-rls", arguments.enable_rls,
                              "enable row-level security on an existing api_keys");
    add_command(app, "sync", "have apikeyd compare Redis with Postgres, completely", arguments, run_sync, chosen);
    add_key_commands(app, arguments, chosen);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kWrongUse;
    }
    try {
        chosen();
        return 0;
    } catch (const Refusal& refusal) {
        std::cerr << "apikeyctl: " << refusal.message << "\n";
        return refusal.status;
    }
}

}  // namespace
}  // namespace apikey

int main(int argc, char** argv) {
    try {
        return apikey::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "apikeyctl: %s\n", error.what());
        return 1;
    }
}
