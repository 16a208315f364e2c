// What an answer means, by the names that t/lib/apikeytest/oracle_clients.py has for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace apikey::bulk {

enum class Verdict : std::uint8_t {
    right,
    refused,
    unavailable,
    wrong_identity,
    bogus_passed,
    valid_refused,
    unexpected,
    changing,
    closed,
    left_early
};

constexpr std::array<std::string_view, 10> kVerdictNames = {
    "right identity",    "bogus key refused", "unavailable",        "another's identity",       "bogus key let through",
    "valid key refused", "unexpected answer", "a key that changes", "closed without an answer", "left early"};

constexpr bool must_never_be(Verdict verdict) noexcept {
    return verdict >= Verdict::wrong_identity && verdict <= Verdict::unexpected;
}

using Tally = std::array<std::uint64_t, kVerdictNames.size()>;

inline std::uint64_t& count_of(Tally& tally, Verdict verdict) noexcept {
    return tally[static_cast<std::size_t>(verdict)];
}

}  // namespace apikey::bulk
