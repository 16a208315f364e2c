// apikeyctl doctor: looks at everything that must fit together, and says of each thing how it is and what to do.
#include <algorithm>
#include <iostream>

#include "sidecar/ctl/commands.hpp"
#include "sidecar/ctl/output.hpp"
#include "sidecar/doctor/findings.hpp"
#include "sidecar/doctor/postgres_checks.hpp"
#include "sidecar/doctor/redis_checks.hpp"
#include "sidecar/doctor/socket_checks.hpp"

namespace apikey {
namespace {

using doctor::Finding;
using doctor::Findings;
using doctor::Level;
using Json = nlohmann::ordered_json;

void look_at_everything(const Arguments& arguments, Findings& findings) {
    const std::string& file = arguments.config;
    const auto settings = load_settings(file);
    if (!settings) {
        return findings.error(
            "settings", settings.error(),
            "apikeyd does not start with it either, and nothing else can be looked at; `apikeyd --check` "
            "tests the file");
    }
    findings.ok("settings", file);
    doctor::check_postgres(*settings, place_of_setting(file, "postgres"), findings);
    doctor::check_redis(*settings, place_of_setting(file, "redis"), findings);
    doctor::check_socket(settings->listen, settings->listen_mode, place_of_setting(file, "listen"), findings);
    if (!settings->secret_file.empty()) doctor::check_secret_file("files.secret", settings->secret_file, findings);
    if (!settings->redis_password_file.empty()) {
        doctor::check_secret_file("files.redis_password", settings->redis_password_file, findings);
    }
}

void print_as_json(const Findings& findings) {
    Json list = Json::array();
    for (const Finding& finding : findings.all()) {
        list.push_back({{"check", finding.check},
                        {"level", doctor::to_text(finding.level)},
                        {"message", finding.message},
                        {"advice", finding.advice}});
    }
    print_json({{"success", findings.count(Level::error) == 0}, {"findings", list}});
}

void print_as_text(const Findings& findings) {
    constexpr std::size_t kLevelWidth = 9;  // "warning" and two spaces
    std::size_t width = 0;
    for (const Finding& finding : findings.all())
        width = std::max(width, finding.check.size() + 2);
    for (const Finding& finding : findings.all()) {
        const std::string level(doctor::to_text(finding.level));
        std::cout << level << std::string(kLevelWidth - level.size(), ' ') << finding.check
                  << std::string(width - finding.check.size(), ' ') << finding.message << "\n";
        if (!finding.advice.empty()) std::cout << std::string(kLevelWidth, ' ') << "-> " << finding.advice << "\n";
    }
    std::cout << summary_of(findings) << "\n";
}

}  // namespace

void run_doctor(const Arguments& arguments) {
    Findings findings;
    look_at_everything(arguments, findings);
    if (arguments.json) {
        print_as_json(findings);
    } else {
        print_as_text(findings);
    }
    if (findings.count(Level::error) > 0) throw Refusal{"", kFailed};  // all is said
}

}  // namespace apikey
