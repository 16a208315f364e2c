#include "core/redis/change_intake.hpp"

namespace apikey::redis {

bool ChangeIntake::take(const Change& change, std::int64_t heard_at) {
    if (change.receipt != kNobodyWaits) {
        if (receipts_.size() == kMostReceipts) {
            receipts_.erase(receipts_.begin());
            ++lost_;
        }
        receipts_.push_back({change.receipt, heard_at});
    }
    if (change.key && taken_singly_ < kMostSingly) {
        ++taken_singly_;
        return true;
    }
    flush_pending_ = true;
    return false;
}

void ChangeIntake::flushed(Millis now) noexcept {
    flush_pending_ = false;
    last_flush_ = now;
}

const ChangeIntake::Heard* ChangeIntake::to_confirm() const noexcept {
    return flush_pending_ || receipts_.empty() ? nullptr : &receipts_.front();
}

}  // namespace apikey::redis
