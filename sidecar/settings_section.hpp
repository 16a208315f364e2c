// One mapping of a YAML file, read strictly: every name in it must be asked for, once, and every complaint
// names file and line.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace apikey {

// Thrown by Section, caught by parse_settings: the whole sentence.
struct SettingsComplaint {
    std::string message;
};

class Section {
  public:
    // `place` is where messages about the section itself point to (FILE:LINE, or FILE for the whole of it), `path`
    // what they put before a name ("keys."; empty for the top).
    // Throws SettingsComplaint when `node` is no mapping or names something twice.
    Section(std::string file, std::string place, std::string path, const YAML::Node& node);
    // A section that the file leaves out.
    Section(std::string file, std::string path) : file_(file), place_(std::move(file)), path_(std::move(path)) {}

    // `parse` takes the text and gives Result<T>; its error is reported at the setting's line.
    template <class T, class Parse>
    void optional(std::string_view name, T& target, Parse parse) {
        const Entry* entry = take(name);
        if (entry == nullptr) return;
        auto result = parse(scalar(*entry));
        if (!result.ok()) complain(*entry, result.error());
        target = std::move(*result);
    }

    template <class T, class Parse>
    void required(std::string_view name, const char* example, T& target, Parse parse) {
        if (!has(name)) complain_missing(name, example);
        optional(name, target, parse);
    }

    // The mapping under `name`; empty when the file leaves it out.
    Section section(std::string_view name);
    // All entries as sections, whatever their names (the models of usage.prices).
    std::vector<std::pair<std::string, Section>> all();
    // Whatever has not been asked for is unknown.
    void finish() const;

  private:
    struct Entry {
        std::string name;
        YAML::Node key;
        YAML::Node value;
        bool taken = false;
    };

    [[nodiscard]] bool has(std::string_view name) const;
    const Entry* take(std::string_view name);
    [[nodiscard]] std::string scalar(const Entry& entry) const;
    [[nodiscard]] std::string place_of(const Entry& entry) const;
    // All point to the line of the setting's name: yaml-cpp places a value that is missing on the next line.
    [[noreturn]] void complain(const Entry& entry, const std::string& what) const;
    [[noreturn]] void complain_missing(std::string_view name, const char* example) const;
    [[noreturn]] void complain_misspelt(const Entry& entry, std::string_view name) const;
    [[noreturn]] void complain_unknown(const Entry& entry) const;

    std::string file_;
    std::string place_;
    std::string path_;
    std::vector<Entry> entries_;
    std::vector<std::string> known_;  // asked for so far, for the message about an unknown name
};

}  // namespace apikey
