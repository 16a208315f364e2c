#include "sidecar/doctor/findings.hpp"

#include <algorithm>
#include <utility>

namespace apikey::doctor {
namespace {

std::string counted(std::size_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

void Findings::ok(std::string check, std::string message) {
    findings_.push_back({std::move(check), Level::ok, std::move(message), {}});
}

void Findings::note(std::string check, std::string message, std::string advice) {
    findings_.push_back({std::move(check), Level::note, std::move(message), std::move(advice)});
}

void Findings::warning(std::string check, std::string message, std::string advice) {
    findings_.push_back({std::move(check), Level::warning, std::move(message), std::move(advice)});
}

void Findings::error(std::string check, std::string message, std::string advice) {
    findings_.push_back({std::move(check), Level::error, std::move(message), std::move(advice)});
}

std::size_t Findings::count(Level level) const noexcept {
    return static_cast<std::size_t>(
        std::count_if(findings_.begin(), findings_.end(), [&](const Finding& f) { return f.level == level; }));
}

std::string_view to_text(Level level) noexcept {
    switch (level) {
        case Level::ok: return "ok";
        case Level::note: return "note";
        case Level::warning: return "warning";
        case Level::error: return "error";
    }
    return "error";
}

std::string summary_of(const Findings& findings) {
    const std::size_t notes = findings.count(Level::note);
    return std::to_string(findings.count(Level::ok)) + " ok, " + (notes > 0 ? counted(notes, "note") + ", " : "") +
           counted(findings.count(Level::warning), "warning") + ", " + counted(findings.count(Level::error), "error");
}

}  // namespace apikey::doctor
