#include "sidecar/settings_section.hpp"

#include <algorithm>

namespace apikey {
namespace {

// Edits (insert, delete, replace) from `a` to `b`: small for a slip of the finger.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

}  // namespace

Section::Section(std::string file, std::string place, std::string path, const YAML::Node& node)
    : file_(std::move(file)), place_(std::move(place)), path_(std::move(path)) {
    const std::string what = path_.empty() ? "the file" : path_.substr(0, path_.size() - 1);
    if (!node.IsMap()) {
        throw SettingsComplaint{place_ + ": " + what + " must hold settings, one \"name: value\" a line"};
    }
    for (const auto& item : node) {
        Entry entry{"", item.first, item.second};
        if (!item.first.IsScalar()) {
            throw SettingsComplaint{place_of(entry) + ": the name of a setting must be a word"};
        }
        entry.name = item.first.Scalar();
        if (has(entry.name)) complain(entry, "is given twice; keep one");
        entries_.push_back(std::move(entry));
    }
}

Section Section::section(std::string_view name) {
    const Entry* entry = take(name);
    const std::string path = path_ + std::string(name) + ".";
    if (entry == nullptr) return {file_, path};
    return {file_, place_of(*entry), path, entry->value};
}

std::vector<std::pair<std::string, Section>> Section::all() {
    std::vector<std::pair<std::string, Section>> sections;
    for (Entry& entry : entries_) {
        entry.taken = true;
        sections.emplace_back(entry.name, Section(file_, place_of(entry), path_ + entry.name + ".", entry.value));
    }
    return sections;
}

void Section::finish() const {
    for (const Entry& entry : entries_) {
        if (!entry.taken) complain_unknown(entry);
    }
}

bool Section::has(std::string_view name) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == name; });
}

const Section::Entry* Section::take(std::string_view name) {
    known_.emplace_back(name);
    for (Entry& entry : entries_) {
        if (entry.name != name) continue;
        entry.taken = true;
        return &entry;
    }
    return nullptr;
}

std::string Section::scalar(const Entry& entry) const {
    if (entry.value.IsNull()) complain(entry, "has no value; write one, or leave the line out");
    if (!entry.value.IsScalar()) complain(entry, "must be one value, not a list or a block of settings");
    return entry.value.Scalar();
}

std::string Section::place_of(const Entry& entry) const {
    const YAML::Mark mark = entry.key.Mark();
    return mark.is_null() ? file_ : file_ + ":" + std::to_string(mark.line + 1);
}

void Section::complain(const Entry& entry, const std::string& what) const {
    throw SettingsComplaint{place_of(entry) + ": " + path_ + entry.name + ": " + what};
}

void Section::complain_missing(std::string_view name, const char* example) const {
    // Not two letters: "output" may be missing where "input" is given.
    for (const Entry& entry : entries_) {
        if (!entry.taken && distance(entry.name, name) == 1) complain_misspelt(entry, name);
    }
    throw SettingsComplaint{place_ + ": " + path_ + std::string(name) + " is missing; write for example\n    " +
                            std::string(name) + ": " + example};
}

void Section::complain_misspelt(const Entry& entry, std::string_view name) const {
    complain(entry, "is no setting; did you mean \"" + std::string(name) + "\"?");
}

void Section::complain_unknown(const Entry& entry) const {
    const auto dot = entry.name.find('.');
    if (dot != std::string::npos) {
        complain(entry, "is no setting; write it as a block: \"" + entry.name.substr(0, dot) +
                            ":\" and below it, indented, \"" + entry.name.substr(dot + 1) + ": ...\"");
    }
    const auto nearest = std::min_element(
        known_.begin(), known_.end(),
        [&](const std::string& a, const std::string& b) { return distance(a, entry.name) < distance(b, entry.name); });
    if (nearest != known_.end() && distance(*nearest, entry.name) <= 2) {
        complain_misspelt(entry, *nearest);
    }
    std::string names;
    for (const std::string& name : known_)
        names += (names.empty() ? "" : ", ") + name;
    complain(entry, "is no setting; there are: " + names);
}

}  // namespace apikey
