#include "sidecar/change_log.hpp"

#include <algorithm>
#include <utility>

#include "core/redis/names.hpp"

namespace apikey {
namespace {

constexpr std::size_t kMostNames = 3;

std::string what_changed(std::size_t keys, bool any) {
    if (any) return "any key may have changed";
    return std::to_string(keys) + (keys == 1 ? " key changed" : " keys changed");
}

// Anybody may have put a name into apikey:workers.
std::string listed(const std::vector<std::string>& names) {
    std::string text;
    std::size_t shown = 0;
    for (const std::string& name : names) {
        if (name.size() > redis::kMaxWorkerBytes || !redis::has_prefix_bytes(name)) continue;
        if (shown++ == kMostNames) return text + ", …";
        text += (text.empty() ? "" : ", ") + name;
    }
    return text;
}

}  // namespace

void ChangeLog::add(const Confirmations::Outcome& outcome) {
    ++batches_;
    keys_ += outcome.keys;
    any_ = any_ || outcome.any;
    confirmed_ = outcome.confirmed;
    expected_ = outcome.expected;
    slowest_ = std::max(slowest_, outcome.took);
}

ChangeLog::Time ChangeLog::next_line() const noexcept {
    return batches_ == 0 ? Time::max() : quiet_until_;
}

std::optional<std::string> ChangeLog::take_line(Time now) {
    if (batches_ == 0 || now < quiet_until_) return std::nullopt;
    std::string line = what_changed(keys_, any_);
    if (batches_ > 1) line += " in " + std::to_string(batches_) + " batches";
    line += expected_ == 0 ? ", in force: no nginx worker is registered"
                           : ", in force: " + std::to_string(confirmed_) + "/" + std::to_string(expected_) + " workers";
    line += (batches_ > 1 ? ", at most " : ", ") + std::to_string(slowest_.count()) + " ms";
    *this = ChangeLog();
    quiet_until_ = now + kEvery;
    return line;
}

std::string describe_late(const Confirmations::Outcome& outcome) {
    const std::size_t missing = outcome.expected - outcome.confirmed;
    std::string line = what_changed(outcome.keys, outcome.any) +
                       ", not confirmed: " + std::to_string(outcome.confirmed) + "/" +
                       std::to_string(outcome.expected) + " workers within " + std::to_string(outcome.took.count()) +
                       " ms; " + std::to_string(missing) +
                       (missing == 1 ? " worker may go by what it has" : " workers may go by what they have") +
                       " cached for at most valid + stale (api_key_cache) of the locations";
    const std::string names = listed(outcome.missing);
    return names.empty() ? line : line + ": " + names;
}

}  // namespace apikey
