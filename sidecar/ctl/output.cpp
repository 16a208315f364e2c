#include "sidecar/ctl/output.hpp"

#include <algorithm>
#include <iostream>

namespace apikey {
namespace {

// How long a change that is not confirmed may be without effect; nginx' configuration has the figures.
constexpr const char* kBound = "valid + stale (api_key_cache)";
constexpr const char* kBoundWithoutApikeyd = "valid + stale (api_key_cache) once apikeyd has written it to Redis";

std::string joined(const std::optional<std::vector<std::string>>& scopes) {
    if (!scopes) return "all";
    std::string text;
    for (const std::string& scope : *scopes)
        text += (text.empty() ? "" : " ") + scope;
    return text.empty() ? "none" : text;
}

// Characters, not bytes, so that columns line up (wide characters do not count double).
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

TextLine line_of(const KeyRecord& record) {
    return {record.id,
            printable(record.user),
            printable(record.name),
            printable(record.prefix),
            printable(joined(record.scopes)),
            record.last_used_at.value_or("Never used"),
            record.expires_at.value_or("never"),
            record.is_active ? "active" : "revoked"};
}

}  // namespace

void add_confirmation(Json& json, const Confirmation& confirmation) {
    add_to_json(json, confirmation);
    if (!confirmation.in_force()) json["bound"] = confirmation.done ? kBound : kBoundWithoutApikeyd;
}

std::string by_whom(const Confirmation& confirmation, const char* preposition) {
    const Done done = confirmation.done.value_or(Done{});
    const std::string took = " (" + std::to_string(confirmation.milliseconds) + " ms)";
    if (done.expected == 0) return "; no nginx worker is registered" + took;
    const std::string figures = std::to_string(done.confirmed) + " of " + std::to_string(done.expected);
    return preposition + std::string(done.expected == 1 ? " " : " all ") + figures +
           (done.expected == 1 ? " nginx worker" : " nginx workers") + took;
}

void remark(const Confirmation& confirmation) {
    if (confirmation.in_force()) return;
    if (!confirmation.done) {
        std::cerr << "recorded, not in force until apikeyd runs and can write to Redis (not confirmed within "
                  << confirmation.milliseconds
                  << " ms); while Redis is down nginx goes by what it has cached for at most " << kBound
                  << " of its locations\n";
        return;
    }
    const Done& done = *confirmation.done;
    const bool one = done.expected - done.confirmed == 1;
    std::cerr << "recorded and in Redis, but only " << done.confirmed << " of " << done.expected
              << " nginx workers have confirmed it within " << confirmation.milliseconds << " ms; the other"
              << (one ? " may go by what it has" : "s may go by what they have") << " cached for at most " << kBound
              << " of the locations\n";
}

Json to_json(const doctor::Findings& findings) {
    Json list = Json::array();
    for (const doctor::Finding& finding : findings.all()) {
        list.push_back({{"check", finding.check},
                        {"level", doctor::to_text(finding.level)},
                        {"message", finding.message},
                        {"advice", finding.advice}});
    }
    return list;
}

void print_findings(const doctor::Findings& findings) {
    constexpr std::size_t kLevelWidth = 9;  // "warning" and two spaces
    std::size_t longest = 0;
    for (const doctor::Finding& finding : findings.all())
        longest = std::max(longest, finding.check.size() + 2);
    for (const doctor::Finding& finding : findings.all()) {
        const std::string level(doctor::to_text(finding.level));
        std::cout << level << std::string(kLevelWidth - level.size(), ' ') << finding.check
                  << std::string(longest - finding.check.size(), ' ') << finding.message << "\n";
        if (!finding.advice.empty()) std::cout << std::string(kLevelWidth, ' ') << "-> " << finding.advice << "\n";
    }
}

void print_json(const Json& json) {
    std::cout << text_of(json, 2) << "\n";
}

void print_made_key(const MadeKey& made, const Confirmation& confirmation) {
    const KeyRecord& record = made.record;
    std::cout << "key      " << made.key << "\n"
              << "id       " << record.id << "\n"
              << "user     " << record.user << "\n"
              << "name     " << record.name << "\n"
              << "scopes   " << joined(record.scopes) << "\n"
              << "expires  " << record.expires_at.value_or("never") << "\n";
    if (confirmation.in_force()) std::cout << "in force" << by_whom(confirmation, " on") << "\n";
    std::cerr << "The key is shown only this once: it is stored as its SHA-256.\n";
}

void print_table(const std::vector<KeyRecord>& records) {
    std::vector<TextLine> lines = {{"ID", "USER", "NAME", "PREFIX", "SCOPES", "LAST USED", "EXPIRES", "STATE"}};
    for (const KeyRecord& record : records)
        lines.push_back(line_of(record));
    print_lines(lines, lines.front().size());
}

void print_lines(const std::vector<TextLine>& lines, std::size_t texts) {
    std::vector<std::size_t> widths(lines.front().size());
    for (const TextLine& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], width(line[i]));
    }
    for (const TextLine& line : lines) {
        std::string row;
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::string blanks(widths[i] - width(line[i]), ' ');
            row += (i == 0 ? "" : "  ") + (i < texts ? line[i] + blanks : blanks + line[i]);
        }
        std::cout << row.substr(0, row.find_last_not_of(' ') + 1) << "\n";
    }
}

}  // namespace apikey
