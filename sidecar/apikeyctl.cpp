// apikeyctl: what an operator does with keys and the database from a shell (DESIGN §3.4). Exit status 0, 1
// (failed) or 2 (wrong use). This file is the command line; the commands are in ctl/.
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/run_main.hpp"

namespace apikey {
namespace {

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

void add_audit_command(CLI::App& app, Arguments& arguments, std::function<void()>& chosen) {
    CLI::App& command =
        *add_command(app, "audit", "what was done to keys, the latest first", arguments, run_audit, chosen);
    command.add_option("--user", arguments.user, "only to this user's");
    command.add_option("--limit", arguments.audit.limit, "at most so many lines")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
}

constexpr const char* kUsageExamples =
    "Examples:\n"
    "  apikeyctl usage                                        every user, the last 30 days\n"
    "  apikeyctl usage --by day --user alice --from 2026-11-01 --to 2026-11-30\n"
    "  apikeyctl usage --by model --status error --limit 10\n"
    "  apikeyctl usage --pipeline --spool /var/spool/nginx-api-key\n"
    "A date is that whole day in UTC, also as --to; a time (2026-11-28T12:00:00Z) as --to is not part of it.";

void run_usage(const Arguments& arguments) {
    arguments.usage.pipeline ? run_usage_pipeline(arguments) : run_usage_totals(arguments);
}

void add_usage_command(CLI::App& app, Arguments& arguments, std::function<void()>& chosen) {
    UsageArguments& usage = arguments.usage;
    CLI::App& command = *add_command(app, "usage", "what keys were used for, and what has become of it on its way",
                                     arguments, run_usage, chosen);
    command.footer(kUsageExamples);
    command.add_option("--by", usage.by, "what to sum up by")
        ->check(CLI::IsMember({"user", "key", "endpoint", "model", "day", "month"}))
        ->capture_default_str();
    command.add_option("--user", arguments.user, "only this user's");
    command.add_option("--key", usage.key, "only of the key with this id");
    command.add_option("--endpoint", usage.endpoint, "only of this endpoint");
    command.add_option("--model", usage.model, "only of this model; \"\": of requests without one");
    command.add_option("--status", usage.status, "only success or error")->check(CLI::IsMember({"success", "error"}));
    command.add_option("--from", usage.from, "first day, or time in ISO 8601 (default: 30 days before the end)");
    command.add_option("--to", usage.to, "last day, or time that is not part of it (default: today)");
    command.add_option("--limit", usage.limit, "at most so many lines: the largest, or the latest")
        ->check(CLI::PositiveNumber);
    const std::vector<CLI::Option*> of_totals =
        command.get_options([](const CLI::Option* option) { return option->get_name() != "--help"; });
    CLI::Option* pipeline = command.add_flag(
        "--pipeline", usage.pipeline, "instead: what is on its way to Postgres; exit status 1 when something is stuck");
    for (CLI::Option* option : of_totals)
        pipeline->excludes(option);
    command.add_option("--spool", usage.spool, "api_key_spool of nginx.conf, to look into")->needs(pipeline);
}

constexpr const char* kExportExamples =
    "Examples:\n"
    "  apikeyctl export usage --user alice --format csv --from 2026-11-01 --to 2026-11-30 -o november.csv\n"
    "  apikeyctl export usage --user alice --model gpt-4o --status error | jq .recordCount\n"
    "  apikeyctl export conversations --user alice -o conversations.json\n"
    "A date is that whole day in UTC, also as --to; a time (2026-11-28T12:00:00Z) as --to is not part of it.\n"
    "FILE is there only when it is complete; until then it is FILE.part.";

void add_export_options(CLI::App& command, Arguments& arguments, const std::vector<std::string>& formats) {
    ExportArguments& exported = arguments.exported;
    command.footer(kExportExamples);
    command.add_option("--user", arguments.user, "whose")->required();
    command.add_option("--format", exported.format, "default: json")->check(CLI::IsMember(formats));
    command.add_option("--from", exported.from, "first day, or time in ISO 8601 (default: from the beginning)");
    command.add_option("--to", exported.to, "last day, or time that is not part of it (default: to the end)");
    command.add_option("-o", exported.output, "write to this file (default: stdout)")->type_name("FILE");
}

void add_export_commands(CLI::App& app, Arguments& arguments, std::function<void()>& chosen) {
    ExportArguments& exported = arguments.exported;
    CLI::App& exports = *app.add_subcommand("export", "write out what is stored of a user");
    exports.require_subcommand(1);
    exports.fallthrough();

    CLI::App* usage =
        add_command(exports, "usage", "what the user's keys were used for", arguments, run_export_usage, chosen);
    add_export_options(*usage, arguments, {"csv", "json"});
    usage->add_option("--key", exported.key, "only of the key with this id");
    usage->add_option("--endpoint", exported.endpoint, "only of this endpoint");
    usage->add_option("--model", exported.model, "only of this model; \"\": of requests without one");
    usage->add_option("--status", exported.status, "only success or error")->check(CLI::IsMember({"success", "error"}));

    CLI::App* conversations = add_command(exports, "conversations", "the user's conversations with their messages",
                                          arguments, run_export_conversations, chosen);
    add_export_options(*conversations, arguments, {"json"});
    conversations->add_option("--conversation", exported.conversation, "only the one with this id");
}

void add_import_commands(CLI::App& app, Arguments& arguments, std::function<void()>& chosen) {
    CLI::App& import =
        *app.add_subcommand("import", "take what an export wrote, as a user's own: all of it or nothing");
    import.require_subcommand(1);
    import.fallthrough();
    const auto add = [&](const char* name, const char* does, void (*run)(const Arguments&)) {
        CLI::App& command = *add_command(import, name, does, arguments, run, chosen);
        command.add_option("--user", arguments.user, "whose it will be")->required();
        command.add_option("FILE", arguments.import.file, "what to read; -: standard input")->required();
        command.add_option("--format", arguments.import.format, "csv or json (default: by the file's ending)")
            ->check(CLI::IsMember({"csv", "json"}));
        command.add_flag("--dry-run", arguments.import.dry_run, "only say what would be imported");
    };
    add("usage", "rows that the user has already are skipped", run_import_usage);
    add("conversations", "conversations that the user has already are skipped, with their messages",
        run_import_conversations);
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
    add_command(app, "doctor", "look at Postgres, Redis, apikeyd and nginx' workers; changes nothing", arguments,
                run_doctor, chosen);
    add_key_commands(app, arguments, chosen);
    add_audit_command(app, arguments, chosen);
    add_usage_command(app, arguments, chosen);
    add_export_commands(app, arguments, chosen);
    add_import_commands(app, arguments, chosen);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kWrongUse;
    }
    try {
        chosen();
        return 0;
    } catch (const Refusal& refusal) {
        if (!refusal.message.empty()) std::cerr << "apikeyctl: " << refusal.message << "\n";
        return refusal.status;
    }
}

}  // namespace
}  // namespace apikey

int main(int argc, char** argv) {
    return apikey::run_main("apikeyctl", apikey::run, argc, argv);
}
