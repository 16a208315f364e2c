// apikeyctl export: what is stored of a user, on stdout or as a file.
#include <chrono>
#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/export_file.hpp"
#include "sidecar/ctl/progress_bar.hpp"
#include "sidecar/exports/export.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

std::optional<IsoTime> time_of(const std::string& text, const char* option) {
    if (text.empty()) return std::nullopt;
    auto time = parse_iso_time(text);
    if (!time) {
        throw Refusal{std::string(option) + " \"" + text +
                          "\" is no date (2026-11-28) and no time with its zone (2026-11-28T12:00:00Z)",
                      kWrongUse};
    }
    return time;
}

OpenRange range_of(const ExportArguments& arguments) {
    const auto range = open_range(time_of(arguments.from, "--from"), time_of(arguments.to, "--to"));
    if (!range) throw Refusal{"--to is before --from", kWrongUse};
    return *range;
}

UsageExportQuery usage_query_of(const ExportArguments& arguments) {
    require_key_id(arguments.key);
    UsageExportQuery query;
    if (arguments.format == "csv") query.format = TransferFormat::csv;
    query.which = {range_of(arguments), arguments.endpoint, arguments.model, arguments.status, arguments.key};
    return query;
}

// For a shell.
std::string quoted(const std::string& text) {
    constexpr std::string_view kPlain = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_./:@+,";
    if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

// The command that fetches usage from `date` on.
std::string command_for_the_rest(const Arguments& arguments, const std::string& date) {
    const ExportArguments& exported = arguments.exported;
    std::string command = "apikeyctl";
    const auto add = [&command](const char* option, const std::string& value) {
        command += std::string(" ") + option + " " + quoted(value);
    };
    if (arguments.config != kDefaultConfigFile) add("--config", arguments.config);
    command += " export usage";
    add("--user", arguments.user);
    add("--format", "csv");
    add("--from", date);
    if (!exported.to.empty()) add("--to", exported.to);
    if (exported.endpoint) add("--endpoint", *exported.endpoint);
    if (exported.model) add("--model", *exported.model);
    if (exported.status) add("--status", *exported.status);
    if (exported.key) add("--key", *exported.key);
    if (!exported.output.empty()) add("-o", exported.output + ".rest");
    return command;
}

// What has become of the file when the export broke off, for the message.
std::string what_is_left(const Arguments& arguments, ExportFile& file) {
    if (arguments.exported.format == "csv") {
        if (const auto date = file.cut_back()) {
            const std::string until = arguments.exported.to.empty() ? "the end" : arguments.exported.to;
            return (file.is_direct() ? "What was written is complete up to " : file.part() + " has all up to ") +
                   *date + ", which is missing itself, as is everything after it to " + until +
                   ". The rest, with a header line again: " + command_for_the_rest(arguments, *date);
        }
    } else {
        file.remove();
    }
    return file.is_direct() ? "what was written is not complete" : "nothing was kept of it";
}

Postgres connect(const Arguments& arguments) {
    Postgres::Options options;
    options.application = "apikeyctl export";
    return {settings_of(arguments).postgres, options};
}

}  // namespace

void run_export_usage(const Arguments& arguments) {
    const UsageExportQuery query = usage_query_of(arguments.exported);
    Postgres postgres = connect(arguments);
    require_schema(postgres);
    ExportFile file(arguments.exported.output);
    ExportHooks hooks;
    ProgressBar bar("export", std::nullopt);
    hooks.on_rows = [&](std::uint64_t rows) { bar.show(file.size(), rows); };
    if (query.format == TransferFormat::csv) {
        hooks.on_date = [&file](const std::string& date, std::uint64_t bytes) { file.note_date(date, bytes); };
    }
    try {
        export_usage(postgres, arguments.user, query, file, hooks);
    } catch (const PostgresError& error) {
        throw Refusal{std::string(error.what()) + "; " + what_is_left(arguments, file), kFailed};
    } catch (...) {
        what_is_left(arguments, file);
        throw;
    }
    file.complete();
}

void run_export_conversations(const Arguments& arguments) {
    const ConversationQuery query{arguments.exported.conversation, range_of(arguments.exported)};
    Postgres postgres = connect(arguments);
    require_schema(postgres);
    ExportFile file(arguments.exported.output);
    ProgressBar bar("export", std::nullopt);
    ExportHooks hooks;
    hooks.on_rows = [&](std::uint64_t rows) { bar.show(file.size(), rows); };
    bool found = false;
    try {
        found = export_conversations(postgres, arguments.user, query, file, hooks).has_value();
    } catch (...) {
        file.remove();
        throw;
    }
    if (!found) {
        file.remove();
        throw Refusal{"the user has no conversation with the id \"" + query.id.value_or("") + "\"", kFailed};
    }
    file.complete();
}

}  // namespace apikey
