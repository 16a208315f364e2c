// The notices by which a change of a key travels through Postgres (DESIGN §3.5, §4.5):
//   change := (core/redis/change.hpp)                         Postgres channel apikey_changed, Redis channel apikey:changed
//   done   := "done" SP receipt SP confirmed "/" expected     Postgres channel apikey_done
//   receipt, confirmed, expected := decimal digits
// A receipt names the change for whoever waits for it; 0 = nobody does.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/change.hpp"

namespace apikey {

inline constexpr const char* kChangedChannel = "apikey_changed";
inline constexpr const char* kDoneChannel = "apikey_done";

using redis::Change;
using redis::format_change;
using redis::kNobodyWaits;
using redis::parse_change;
using redis::Receipt;

// 63 random bits, never 0, so that it fits Postgres' bigint. Throws std::runtime_error without randomness.
Receipt new_receipt();

// How many of the nginx workers that must confirm a change have done so.
struct Done {
    Receipt receipt = kNobodyWaits;
    std::uint64_t confirmed = 0;
    std::uint64_t expected = 0;
};
// Anybody may NOTIFY: what has not this form is nothing.
std::optional<Done> parse_done(std::string_view payload);
std::string format_done(const Done& done);

// Changes that wait to be applied; the same key's are one. Not thread-safe.
class PendingChanges {
  public:
    using ByHash = std::map<std::string, std::set<Receipt>, std::less<>>;
    // About 25 MB. One statement can change millions, and their notices come faster than they are applied.
    static constexpr std::size_t kMostKeys = 100'000;

    // False: this receipt waited for this already (or nobody waits).
    bool add(const Change& change);
    [[nodiscard]] bool has_keys() const noexcept { return !by_hash_.empty(); }
    [[nodiscard]] bool has_too_many_keys() const noexcept { return by_hash_.size() > kMostKeys; }
    [[nodiscard]] bool wants_full_pass() const noexcept { return full_pass_; }
    // Up to `most` keys with the receipts that wait for them.
    ByHash take_keys(std::size_t most);
    // Makes one full pass of all keys. Whoever waits for several of them waits for one thing then: gives its receipt once
    // for each that was one too many.
    std::vector<Receipt> turn_into_full_pass();
    // The receipts that wait for a full pass, which the caller now makes.
    std::set<Receipt> take_full_pass();

  private:
    ByHash by_hash_;
    bool full_pass_ = false;
    std::set<Receipt> full_pass_receipts_;
};

// Receipts that somebody may still wait for, between two terms: the next one's full pass covers their changes, whoever
// leads then.
class UntoldReceipts {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds kRemember{60};  // nobody waits for longer
    static constexpr std::size_t kMost = 100'000;

    void heard(Receipt receipt, Time now);
    void told(Receipt receipt) { receipts_.erase(receipt); }
    std::vector<Receipt> take(Time now);

  private:
    std::map<Receipt, Time> receipts_;
};

}  // namespace apikey
