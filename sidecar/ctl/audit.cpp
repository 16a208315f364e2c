// apikeyctl audit: what was done to keys, by whom, and from where.
#include "sidecar/keys/audit_log.hpp"

#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/key_command.hpp"
#include "sidecar/ctl/output.hpp"

namespace apikey {
namespace {

std::string who(const AuditEntry& entry) {
    std::string text = entry.actor;
    if (entry.actor_key) text += " (key " + *entry.actor_key + ")";
    return text;
}

std::string from_where(const AuditEntry& entry) {
    return entry.source + (entry.address ? " " + *entry.address : "");
}

TextLine line_of(const AuditEntry& entry) {
    return {entry.at,
            entry.action,
            printable(entry.user),
            entry.key_id.value_or("all keys"),
            printable(entry.key_name.value_or("")),
            printable(who(entry)),
            printable(from_where(entry)),
            entry.details == "{}" ? "" : printable(entry.details)};
}

}  // namespace

void run_audit(const Arguments& arguments) {
    KeyCommand command(arguments);
    AuditQuery query;
    if (!arguments.user.empty()) query.user = arguments.user;
    query.limit = arguments.audit.limit;
    const AuditPage page = read_audit_log(command.postgres, query);
    if (arguments.json) {
        Json entries = Json::array();
        for (const AuditEntry& entry : page.entries)
            entries.push_back(to_json(entry, Reader::apikeyctl));
        return print_json({{"success", true}, {"entries", std::move(entries)}, {"more", page.more}});
    }
    std::vector<TextLine> lines = {{"AT", "ACTION", "USER", "KEY", "NAME", "BY", "FROM", "CHANGES"}};
    for (const AuditEntry& entry : page.entries)
        lines.push_back(line_of(entry));
    print_lines(lines, lines.front().size());
    if (page.more) std::cout << "There are earlier ones; --limit shows more.\n";
}

}  // namespace apikey
