// What a worker does about the changes that it hears: which keys it forgets at once, when it forgets all, and which
// changes it may confirm. It decides; its owner applies.
//
//   one key     is forgotten at once
//   "*"         all are, but at most every kFlushEvery: a hostile publisher must not keep the cache empty (hazard R22)
//   a flood     of more than kMostSingly in one turn of the event loop is one "*" (hazard R21)
//
// A receipt names all changes before it, too, since whoever publishes many gives one to the last only. So none is
// confirmed while a "*" waits.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/redis/change.hpp"

namespace apikey::redis {

class ChangeIntake {
  public:
    static constexpr Millis kFlushEvery = 100;
    static constexpr std::size_t kMostSingly = 1000;
    static constexpr std::size_t kMostReceipts = 1024;  // that wait; of more the oldest are lost

    struct Heard {
        Receipt receipt;
        std::int64_t at;  // what take() was given
    };

    // Another turn of the event loop begins.
    void begin_turn() noexcept { taken_singly_ = 0; }
    // True: the key of `change` is to be forgotten before anything else happens. False: there is none, or a flush will
    // see to it. `heard_at` comes back with the receipt.
    [[nodiscard]] bool take(const Change& change, std::int64_t heard_at);

    // All keys are to be forgotten: not before flush_at(). What was heard is not applied until then.
    [[nodiscard]] bool flush_pending() const noexcept { return flush_pending_; }
    [[nodiscard]] Millis flush_at() const noexcept { return last_flush_ ? *last_flush_ + kFlushEvery : 0; }
    // All keys have been forgotten.
    void flushed(Millis now) noexcept;

    // The oldest receipt whose change is applied; null: there is none. confirmed() takes it off.
    [[nodiscard]] const Heard* to_confirm() const noexcept;
    void confirmed() noexcept { receipts_.erase(receipts_.begin()); }
    // How many receipts were lost since the last call. Whoever waits for them is told that they are not confirmed.
    std::uint64_t take_lost() noexcept { return std::exchange(lost_, 0); }

  private:
    std::size_t taken_singly_ = 0;
    bool flush_pending_ = false;
    std::optional<Millis> last_flush_;
    std::vector<Heard> receipts_;
    std::uint64_t lost_ = 0;
};

}  // namespace apikey::redis
