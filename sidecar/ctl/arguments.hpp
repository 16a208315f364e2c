// What the command line said, and how a command ends when it cannot do its work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "core/uuid.hpp"
#include "sidecar/settings.hpp"

namespace apikey {

// Exit statuses besides 0 (DESIGN §3.4).
inline constexpr int kFailed = 1;
inline constexpr int kWrongUse = 2;

// Of `usage`.
struct UsageArguments {
    std::string by = "user";
    std::optional<std::string> key;
    std::optional<std::string> endpoint;
    std::optional<std::string> model;
    std::optional<std::string> status;
    std::string from;
    std::string to;
    std::optional<std::uint64_t> limit;
    bool pipeline = false;
    std::string spool;  // empty: none
};

// Of `audit`.
struct AuditArguments {
    std::uint64_t limit = 50;
};

// Of `export`.
struct ExportArguments {
    std::optional<std::string> format;
    std::string from;
    std::string to;
    std::optional<std::string> endpoint;
    std::optional<std::string> model;
    std::optional<std::string> status;
    std::optional<std::string> key;
    std::optional<std::string> conversation;
    std::string output;  // empty: stdout
};

// Of `import`.
struct ImportArguments {
    std::string file;    // -: standard input
    std::string format;  // empty: by the file's ending
    bool dry_run = false;
};

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
    AuditArguments audit;
    UsageArguments usage;
    ExportArguments exported;
    ImportArguments import;
};

// Ends a command: the message for stderr and the exit status.
struct Refusal {
    std::string message;  // empty: the command has said it
    int status = kFailed;
};

template <class T>
T or_refuse(Result<T> result, int status) {
    if (!result.ok()) throw Refusal{result.error(), status};
    return std::move(*result);
}

// Of --key.
inline void require_key_id(const std::optional<std::string>& key) {
    if (key && !is_uuid(*key))
        throw Refusal{"--key \"" + *key + "\" is no key's id; `apikeyctl keys list` shows them", kWrongUse};
}

inline Settings settings_of(const Arguments& arguments) {
    return or_refuse(load_settings(arguments.config), kFailed);
}

}  // namespace apikey
