#include "sidecar/routes/import_answer.hpp"

#include <string>

#include "core/json_string.hpp"

namespace apikey {
namespace {

void append_error(std::string& out, const RowError& error) {
    out += R"({"row":)" + std::to_string(error.row);
    if (error.line > 0) out += R"(,"line":)" + std::to_string(error.line);
    out += R"(,"field":)";
    append_json_string(out, error.field);
    out += R"(,"message":)";
    append_json_string(out, error.message);
    out += '}';
}

// Without braces.
std::string members_of(const ImportOutcome& outcome) {
    std::string out = R"("success":)" + std::string(outcome.errors.empty() ? "true" : "false") + R"(,"imported":)" +
                      std::to_string(outcome.imported) + R"(,"skipped":)" + std::to_string(outcome.skipped) +
                      R"(,"errors":[)";
    for (const RowError& error : outcome.errors) {
        if (out.back() == '}') out += ',';
        append_error(out, error);
    }
    out += ']';
    if (outcome.more_errors > 0) out += R"(,"moreErrors":)" + std::to_string(outcome.more_errors);
    return out;
}

}  // namespace

http::Answer answer_of(const ImportOutcome& outcome) {
    if (!outcome.malformed.empty()) return http::problem(400, "malformed_file", "File not readable", outcome.malformed);
    if (outcome.errors.empty()) return {200, "application/json", "{" + members_of(outcome) + "}\n", {}};
    return http::problem(422, "invalid_rows", "Rows not valid",
                         "Nothing was imported: errors says what is wrong in which row.", {}, members_of(outcome));
}

}  // namespace apikey
