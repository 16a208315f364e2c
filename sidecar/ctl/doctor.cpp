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

using doctor::Findings;
using doctor::Level;

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

}  // namespace

void run_doctor(const Arguments& arguments) {
    Findings findings;
    look_at_everything(arguments, findings);
    if (arguments.json) {
        print_json({{"success", findings.count(Level::error) == 0}, {"findings", to_json(findings)}});
    } else {
        print_findings(findings);
        std::cout << summary_of(findings) << "\n";
    }
    if (findings.count(Level::error) > 0) throw Refusal{"", kFailed};  // all is said
}

}  // namespace apikey
