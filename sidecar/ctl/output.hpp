// What apikeyctl prints: one JSON value with --json, else text for people. Results go to stdout, remarks to
// stderr.
#pragma once

#include <string>
#include <vector>

#include "core/byte_run.hpp"
#include "sidecar/doctor/findings.hpp"
#include "sidecar/keys/confirmation.hpp"
#include "sidecar/keys/key_json.hpp"
#include "sidecar/keys/key_record.hpp"

namespace apikey {

// What add_to_json() gives, and what it means where it is not in force.
void add_confirmation(Json& json, const Confirmation& confirmation);
// Who has confirmed a change that is in force: `preposition` " by" gives " by all 4 of 4 nginx workers (3 ms)".
std::string by_whom(const Confirmation& confirmation, const char* preposition);
// Says on stderr what is not in force yet, and what that means; nothing when all is.
void remark(const Confirmation& confirmation);

Json to_json(const doctor::Findings& findings);
// One line each, and below what is wrong what to do.
void print_findings(const doctor::Findings& findings);

void print_json(const Json& json);
void print_made_key(const MadeKey& made, const Confirmation& confirmation);
void print_table(const std::vector<KeyRecord>& records);

using TextLine = std::vector<std::string>;
// Lines of the same number of columns, the first of them the columns' names. The first `texts` columns are flush left, the
// rest, which are numbers, flush right.
void print_lines(const std::vector<TextLine>& lines, std::size_t texts);
// A table's rows may hold anything: a terminal gets no control bytes of theirs.
inline std::string printable(std::string text) {
    return without_control_bytes(std::move(text));
}

}  // namespace apikey
