// How a change of a key reaches every nginx worker, and how it is known that it has (DESIGN §3.5, §4.6). Shared by nginx
// and apikeyd.
//
//   change       := ( hash | "*" ) SP receipt    channel apikey:changed, and Postgres' apikey_changed
//   confirmation := worker SP receipt            channel apikey:applied
//   worker       := host ":" pid ":" random      member of apikey:workers, scored by when its lease ends (Redis' ms)
//   hash         := 64 lower-case hex digits;  receipt, pid := decimal digits;  random := 16 hex digits
//
// "*": any key may have changed. A worker confirms what it has applied under the receipt that it came with; 0 = nobody
// waits for it. Anybody may publish: what has not this form is nothing.
//
// A worker uses cached verdicts while its lease lasts, and is a member while it may hold one:
//
//   lease ends    kLease after it sent the last PING that its subscription answered, provided that its registration had
//                 been acknowledged before; never later than kRegistration after that registration was sent
//   member until  its score, kRegistration after the registration was sent, by Redis' clock
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/redis/millis.hpp"

namespace apikey::redis {

inline constexpr Millis kPingEvery = 250;      // on the subscription; as often the registration is renewed
inline constexpr Millis kLease = 1000;         // a subscription that is silent for as long is lost
inline constexpr Millis kRegistration = 1500;  // how far ahead a member's score lies

using Receipt = std::uint64_t;
inline constexpr Receipt kNobodyWaits = 0;

struct Change {
    std::optional<Digest> key;  // of the one key; none: "*", any key
    Receipt receipt = kNobodyWaits;
};
// What `payload` says; nothing where it has not the form of a change. Allocates nothing.
std::optional<Change> parse_change(std::string_view payload) noexcept;
// `hash`: 64 hex digits, or empty for "*".
std::string format_change(std::string_view hash, Receipt receipt);

struct Confirmation {
    std::string_view worker;  // within the payload
    Receipt receipt = kNobodyWaits;
};
// What `payload` says; nothing where it has not the form of a confirmation, or confirms nothing (receipt 0).
std::optional<Confirmation> parse_confirmation(std::string_view payload) noexcept;
std::string format_confirmation(std::string_view worker, Receipt receipt);

// The name of a worker in apikey:workers: of its host, which whoever looks for it wants to know, and never given twice.
// Bytes of `host` that a name cannot have become "-", and what is longer than kMaxHostBytes is cut.
inline constexpr std::size_t kMaxHostBytes = 64;
inline constexpr std::size_t kMaxWorkerBytes = 128;
std::string worker_name(std::string_view host, std::uint64_t pid, std::uint64_t random);

}  // namespace apikey::redis
