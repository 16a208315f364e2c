// The notices by which a change of a key travels (DESIGN §3.5, §4.5):
//   change := ( hash | "*" ) SP receipt        Postgres channel apikey_changed, Redis channel apikey:changed
//   done   := "done" SP receipt SP confirmed "/" expected       Postgres channel apikey_done
//   hash   := 64 lower-case hex digits;  receipt, confirmed, expected := decimal digits
// "*": any key may have changed. A receipt names the change for whoever waits for it; 0 = nobody does.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace apikey {

inline constexpr const char* kChangedChannel = "apikey_changed";
inline constexpr const char* kDoneChannel = "apikey_done";

using Receipt = std::uint64_t;
inline constexpr Receipt kNobodyWaits = 0;

// 63 random bits, never 0, so that it fits Postgres' bigint. Throws std::runtime_error without randomness.
Receipt new_receipt();

struct Change {
    std::string hash;  // empty: "*"
    Receipt receipt = kNobodyWaits;
};
// Anybody may NOTIFY: what has not this form is nothing.
std::optional<Change> parse_change(std::string_view payload);
std::string format_change(std::string_view hash, Receipt receipt);

// How many of the nginx workers that must confirm a change have done so.
struct Done {
    Receipt receipt = kNobodyWaits;
    std::uint64_t confirmed = 0;
    std::uint64_t expected = 0;
};
std::optional<Done> parse_done(std::string_view payload);
std::string format_done(const Done& done);

// Changes that wait to be applied; the same key's are one. Not thread-safe.
class PendingChanges {
  public:
    using ByHash = std::map<std::string, std::set<Receipt>, std::less<>>;

    void add(const Change& change);
    [[nodiscard]] bool has_keys() const noexcept { return !by_hash_.empty(); }
    [[nodiscard]] bool wants_full_pass() const noexcept { return full_pass_; }
    // Up to `most` keys with the receipts that wait for them.
    ByHash take_keys(std::size_t most);
    // The receipts that wait for a full pass, which the caller now makes.
    std::set<Receipt> take_full_pass();
    // Does anything that waits carry this receipt? One transaction may change many keys under one.
    [[nodiscard]] bool waits_for(Receipt receipt) const;

  private:
    ByHash by_hash_;
    bool full_pass_ = false;
    std::set<Receipt> full_pass_receipts_;
};

}  // namespace apikey
