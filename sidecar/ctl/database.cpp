// apikeyctl migrate, sync: the database and its copy in Redis.
#include <chrono>
#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/key_command.hpp"
#include "sidecar/ctl/output.hpp"
#include "sidecar/migrate.hpp"
#include "sidecar/schema.hpp"

namespace apikey {
namespace {

constexpr std::chrono::seconds kWaitForPass{60};

// As whom to migrate.
std::string dsn_of(const Arguments& arguments) {
    auto dsn = parse_postgres(arguments.postgres);
    if (!dsn) throw Refusal{"--postgres " + dsn.error(), kWrongUse};
    return *dsn;
}

}  // namespace

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
    if (!confirmation.done)
        throw Refusal{"no apikeyd has completed a full pass within 60 s; does it run, and has Redis memory?"};
    if (arguments.json) {
        Json json = {{"success", true}};
        add_confirmation(json, confirmation);
        print_json(json);
    } else {
        std::cout << "Redis has exactly the active keys"
                  << (confirmation.in_force() ? by_whom(confirmation, ", confirmed by") : "") << "\n";
    }
    remark(confirmation);
}

}  // namespace apikey
