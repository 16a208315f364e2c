#include "sidecar/notice.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "core/decimal.hpp"
#include "core/digest.hpp"

namespace apikey {
namespace {

constexpr std::string_view kDoneWord = "done ";

}  // namespace

Receipt new_receipt() {
    Receipt receipt = 0;
    while (receipt == kNobodyWaits) {
        if (RAND_bytes(reinterpret_cast<unsigned char*>(&receipt), sizeof receipt) != 1) {
            throw std::runtime_error("the system has no random numbers");
        }
        receipt &= static_cast<Receipt>(std::numeric_limits<std::int64_t>::max());
    }
    return receipt;
}

std::optional<Done> parse_done(std::string_view payload) {
    if (!payload.starts_with(kDoneWord)) return std::nullopt;
    payload.remove_prefix(kDoneWord.size());
    const auto space = payload.find(' ');
    const auto slash = payload.find('/');
    if (space == std::string_view::npos || slash == std::string_view::npos || slash < space) {
        return std::nullopt;
    }
    const auto receipt = parse_decimal(payload.substr(0, space));
    const auto confirmed = parse_decimal(payload.substr(space + 1, slash - space - 1));
    const auto expected = parse_decimal(payload.substr(slash + 1));
    if (!receipt || !confirmed || !expected) return std::nullopt;
    return Done{*receipt, *confirmed, *expected};
}

std::string format_done(const Done& done) {
    return std::string(kDoneWord) + std::to_string(done.receipt) + " " + std::to_string(done.confirmed) + "/" +
           std::to_string(done.expected);
}

bool PendingChanges::add(const Change& change) {
    if (!change.key) full_pass_ = true;
    auto& receipts = change.key ? by_hash_[to_hex_string(*change.key)] : full_pass_receipts_;
    return change.receipt != kNobodyWaits && receipts.insert(change.receipt).second;
}

PendingChanges::ByHash PendingChanges::take_keys(std::size_t most) {
    if (by_hash_.size() <= most) return std::exchange(by_hash_, {});
    ByHash taken;
    while (taken.size() < most)
        taken.insert(by_hash_.extract(by_hash_.begin()));
    return taken;
}

std::vector<Receipt> PendingChanges::turn_into_full_pass() {
    std::vector<Receipt> same;
    for (const auto& [hash, receipts] : std::exchange(by_hash_, {})) {
        for (const Receipt receipt : receipts) {
            if (!full_pass_receipts_.insert(receipt).second) same.push_back(receipt);
        }
    }
    full_pass_ = true;
    return same;
}

std::set<Receipt> PendingChanges::take_full_pass() {
    full_pass_ = false;
    return std::exchange(full_pass_receipts_, {});
}

void UntoldReceipts::heard(Receipt receipt, Time now) {
    if (receipt == kNobodyWaits) return;
    if (receipts_.size() >= kMost) {
        std::erase_if(receipts_, [&](const auto& entry) { return entry.second + kRemember < now; });
    }
    if (receipts_.size() < kMost) receipts_.try_emplace(receipt, now);
}

std::vector<Receipt> UntoldReceipts::take(Time now) {
    std::vector<Receipt> taken;
    for (const auto& [receipt, since] : receipts_) {
        if (since + kRemember >= now) taken.push_back(receipt);
    }
    receipts_.clear();
    return taken;
}

}  // namespace apikey
