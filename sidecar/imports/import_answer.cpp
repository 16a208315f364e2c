#include "sidecar/imports/import_answer.hpp"

#include "core/json_string.hpp"

namespace apikey {
namespace {

void append_error(std::string& out, const RowError& error) {
    out += "{\"row\":" + std::to_string(error.row);
    if (error.line != 0) out += ",\"line\":" + std::to_string(error.line);
    out += ",\"field\":";
    append_json_string(out, error.field);
    out += ",\"message\":";
    append_json_string(out, error.message);
    out += '}';
}

std::string members(const ImportOutcome& outcome, bool success) {
    std::string out = std::string("\"success\":") + (success ? "true" : "false") +
                      ",\"imported\":" + std::to_string(outcome.imported) +
                      ",\"skipped\":" + std::to_string(outcome.skipped) + ",\"errors\":[";
    for (const RowError& error : outcome.errors) {
        if (&error != &outcome.errors.front()) out += ',';
        append_error(out, error);
    }
    out += ']';
    if (outcome.more_errors > 0) out += ",\"moreErrors\":" + std::to_string(outcome.more_errors);
    return out;
}

}  // namespace

std::string import_answer(const ImportOutcome& outcome) {
    return "{" + members(outcome, true) + "}";
}

std::string import_error_members(const ImportOutcome& outcome) {
    return members(outcome, false);
}

}  // namespace apikey
