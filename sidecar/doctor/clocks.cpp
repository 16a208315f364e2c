#include "sidecar/doctor/clocks.hpp"

#include <algorithm>
#include <cstdlib>

namespace apikey::doctor {
namespace {

using std::chrono::duration_cast;

// "1.234", always with three decimals.
std::string seconds_text(Millis time) {
    const auto count = std::abs(time.count());
    const std::string decimals = std::to_string(count % 1000);
    return std::to_string(count / 1000) + "." + std::string(3 - decimals.size(), '0') + decimals;
}

}  // namespace

Skew measure_skew(const std::function<std::int64_t()>& ask) {
    const auto before = duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch());
    const auto asked = std::chrono::steady_clock::now();
    const std::int64_t answer = ask();
    return skew_of(before, duration_cast<Millis>(std::chrono::steady_clock::now() - asked), answer);
}

Skew skew_of(Millis before, Millis took, std::int64_t answer) {
    return {Millis(answer) - before - took / 2, took / 2};
}

void judge_skew(const std::string& check, const std::string& whose, const Skew& skew, Findings& findings) {
    const std::string message = whose + " clock is " + (skew.ahead.count() < 0 ? "-" : "+") + seconds_text(skew.ahead) +
                                " s from this machine's (within " + seconds_text(skew.uncertainty) + " s)";
    const std::string advice =
        "set both machines' clocks by NTP (`timedatectl set-ntp true`, or chrony): keys expire by nginx' clock, leases "
        "by Redis'";
    const Millis sure = std::max(Millis(std::abs(skew.ahead.count())) - skew.uncertainty, Millis(0));
    if (sure > kSkewError) return findings.error(check, message, advice);
    if (sure > kSkewWarning) return findings.warning(check, message, advice);
    findings.ok(check, message);
}

}  // namespace apikey::doctor
