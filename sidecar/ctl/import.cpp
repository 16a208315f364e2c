// apikeyctl import: usage or conversations of a user, out of a file that an export made.
#include "sidecar/imports/import.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/output.hpp"
#include "sidecar/ctl/progress_bar.hpp"
#include "sidecar/imports/import_answer.hpp"
#include "sidecar/keys/key_input.hpp"
#include "sidecar/schema.hpp"

namespace apikey {
namespace {

using Json = nlohmann::ordered_json;
using Import = ImportOutcome (*)(ByteSource&, const std::string&, const ImportQuery&, const ImportHooks&);

constexpr std::string_view kStandardInput = "-";

class FileSource : public ByteSource {
  public:
    // Throws Refusal when it cannot be read.
    explicit FileSource(const std::string& name)
        : name_(name), fd_(name == kStandardInput ? STDIN_FILENO : open(name.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (fd_ < 0) refuse();
    }
    ~FileSource() override {
        if (fd_ != STDIN_FILENO) close(fd_);
    }

    std::string_view read() override {
        ssize_t got = 0;
        do
            got = ::read(fd_, piece_.data(), piece_.size());
        while (got < 0 && errno == EINTR);
        if (got < 0) refuse();
        bytes_ += static_cast<std::uint64_t>(got);
        return {piece_.data(), static_cast<std::size_t>(got)};
    }

    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    // Nothing: it is no file, but comes through a pipe.
    [[nodiscard]] std::optional<std::uint64_t> size() const {
        struct stat status{};
        if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
        return static_cast<std::uint64_t>(status.st_size);
    }

  private:
    [[noreturn]] void refuse() const {
        throw Refusal{printable(name_) + " cannot be read: " + std::strerror(errno), kFailed};
    }

    std::string name_;
    int fd_;
    std::uint64_t bytes_ = 0;  // that were read
    std::array<char, std::size_t{128} * 1024> piece_{};
};

ImportQuery query_of(const ImportArguments& import) {
    ImportQuery query;
    query.dry_run = import.dry_run;
    std::string format = import.format;
    if (format.empty() && import.file.ends_with(".csv")) format = "csv";
    if (format.empty() && import.file.ends_with(".json")) format = "json";
    if (format.empty()) {
        throw Refusal{printable(import.file) + " ends neither in .csv nor in .json: say which it is with --format",
                      kWrongUse};
    }
    query.format = format == "csv" ? TransferFormat::csv : TransferFormat::json;
    return query;
}

void print_as_json(const ImportOutcome& outcome, bool dry_run) {
    Json json = {{"success", outcome.errors.empty() && outcome.malformed.empty()},
                 {"dryRun", dry_run},
                 {"imported", outcome.imported},
                 {"skipped", outcome.skipped},
                 {"errors", Json::parse(import_answer(outcome)).at("errors")}};
    if (outcome.more_errors > 0) json["moreErrors"] = outcome.more_errors;
    if (!outcome.malformed.empty()) json["malformed"] = outcome.malformed;
    print_json(json);
}

// row 3 (line 4), cost: …
void print_error(const RowError& error) {
    std::string line = error.row == 0 ? "the file" : "row " + std::to_string(error.row);
    if (error.line != 0) line += " (line " + std::to_string(error.line) + ")";
    if (!error.field.empty()) line += ", " + error.field;
    std::cerr << line << ": " << printable(error.message) << "\n";
}

[[noreturn]] void refuse_rows(const ImportOutcome& outcome) {
    for (const RowError& error : outcome.errors)
        print_error(error);
    if (outcome.more_errors > 0) std::cerr << "and " << outcome.more_errors << " more\n";
    throw Refusal{"nothing was imported: these rows must be mended first"};
}

// "1 row", "2 rows"
std::string counted(std::uint64_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void run_import(const Arguments& arguments, const char* what, Import import) {
    const std::string user = or_refuse(check_user(arguments.user), kWrongUse);
    const ImportQuery query = query_of(arguments.import);
    const Settings settings = settings_of(arguments);
    FileSource source(arguments.import.file);
    std::optional<Postgres> postgres;
    ImportOutcome outcome;
    {
        ProgressBar progress("import", source.size());
        ImportHooks hooks;
        hooks.on_rows = [&](std::uint64_t rows) { progress.show(source.bytes(), rows); };
        hooks.postgres = [&]() -> Postgres& {
            progress.show("the file is good; Postgres takes it");
            Postgres::Options options;
            options.application = "apikeyctl import";
            require_schema(postgres.emplace(settings.postgres, options));
            return *postgres;
        };
        outcome = import(source, user, query, hooks);
    }
    if (arguments.json) print_as_json(outcome, query.dry_run);
    if (!outcome.malformed.empty()) throw Refusal{"nothing was imported: " + printable(outcome.malformed)};
    if (!outcome.errors.empty()) refuse_rows(outcome);
    if (arguments.json) return;
    std::cout << counted(outcome.imported, what) << (query.dry_run ? " would be" : "") << " imported, "
              << outcome.skipped << " skipped that " << (outcome.skipped == 1 ? "was" : "were") << " there already\n";
}

}  // namespace

void run_import_usage(const Arguments& arguments) {
    run_import(arguments, "row", import_usage);
}

void run_import_conversations(const Arguments& arguments) {
    if (query_of(arguments.import).format == TransferFormat::csv) {
        throw Refusal{"conversations come as JSON, not as CSV", kWrongUse};
    }
    run_import(arguments, "conversation", import_conversations);
}

}  // namespace apikey
