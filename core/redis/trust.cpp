#include "core/redis/trust.hpp"

namespace apikey::redis {

void Trust::connected(std::string_view run_id) {
    run_id_ = run_id;
    epoch_.clear();
}

void Trust::lost() noexcept {
    run_id_.clear();
    epoch_.clear();
}

Trust::Interval Trust::observe(std::string_view epoch) {
    if (!names_this_run(epoch)) {
        epoch_.clear();
        return Interval::untrusted;
    }
    if (epoch_ == epoch) return Interval::trusted;
    epoch_ = epoch;
    return Interval::renewed;
}

bool Trust::names_this_run(std::string_view epoch) const noexcept {
    return !run_id_.empty() && epoch.size() > run_id_.size() + 1 && epoch.starts_with(run_id_) &&
           epoch[run_id_.size()] == ' ';
}

}  // namespace apikey::redis
