// Where sealed batches wait for Redis: a slot of the zone, or the spool. Batches have numbers there, and first() <= n <
// end() are to be sent; how far each of them has come is the Shipment's to know.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <deque>
#include <string>

#include "core/redis/lookup_session.hpp"
#include "core/usage/batch_text.hpp"
#include "core/usage/shipment.hpp"
#include "ngx_module/usage_slots.hpp"

namespace apikey::ngx {

class UsageSource {
  public:
    using Entry = redis::LookupSession::UsageEntry;

    virtual ~UsageSource() = default;
    UsageSource(const UsageSource&) = delete;
    UsageSource& operator=(const UsageSource&) = delete;

    [[nodiscard]] virtual std::uint64_t first() const = 0;
    [[nodiscard]] virtual std::uint64_t end() const = 0;
    // One of them, as an entry of the stream; valid until the next call of anything. Throws std::bad_alloc.
    virtual Entry entry(std::uint64_t number) = 0;
    // Those below `end` are in safe hands.
    virtual void free(std::uint64_t end) = 0;

    usage::Shipment& shipment() noexcept { return shipment_; }

  protected:
    explicit UsageSource(std::uint64_t first) noexcept : shipment_(first) {}

  private:
    usage::Shipment shipment_;
};

// A slot that this worker owns: its own, or one that it took over.
class SlotSource final : public UsageSource {
  public:
    explicit SlotSource(OwnedSlot owned) : UsageSource(owned.slot.first()), owned_(std::move(owned)) {}

    [[nodiscard]] usage::UsageSlot& slot() noexcept { return owned_.slot; }
    [[nodiscard]] const usage::UsageSlot& slot() const noexcept { return owned_.slot; }
    [[nodiscard]] std::size_t zone_bytes() const noexcept { return owned_.bytes; }
    [[nodiscard]] bool is_private() const noexcept { return zone_bytes() == 0; }
    [[nodiscard]] usage::BatchId id(std::uint64_t number) const { return {owned_.zone, owned_.number, number}; }

    [[nodiscard]] std::uint64_t first() const override { return owned_.slot.first(); }
    [[nodiscard]] std::uint64_t end() const override { return owned_.slot.next(); }
    Entry entry(std::uint64_t number) override {
        const usage::Batch batch = owned_.slot.batch(number);
        id_text_ = usage::batch_text(id(number));
        sealed_text_ = std::to_string(batch.sealed);
        return {id_text_, sealed_text_, batch.keys, batch.rows};
    }
    void free(std::uint64_t end) override {
        owned_.slot.free(end);
        shipment().freed(end);
    }

  private:
    OwnedSlot owned_;
    std::string id_text_;  // of the entry
    std::string sealed_text_;
};

// Batches that Redis has taken, and may still lose: where the slot needs their room, they wait here, in memory of this process,
// until they are safe. They are lost where Redis loses them and this worker is killed within the same moments.
class HeldSource final : public UsageSource {
  public:
    static constexpr std::size_t kMostBytes = std::size_t{8} << 20;

    HeldSource() : UsageSource(0) {}

    // False: there are too many already. Throws std::bad_alloc, and then nothing has changed.
    bool hold(const Entry& entry, redis::Millis now) {
        Held held{std::string(entry.batch), std::string(entry.sealed), std::string(entry.keys),
                  std::string(entry.rows)};
        if (bytes_ + held.bytes() > kMostBytes) return false;
        batches_.push_back(std::move(held));
        bytes_ += batches_.back().bytes();
        shipment().sent(end() - 1);
        shipment().answered(end() - 1, true, now);
        return true;
    }

    [[nodiscard]] std::uint64_t first() const override { return first_; }
    [[nodiscard]] std::uint64_t end() const override { return first_ + batches_.size(); }
    Entry entry(std::uint64_t number) override {
        const Held& held = batches_[number - first_];
        return {held.id, held.sealed, held.keys, held.rows};
    }
    void free(std::uint64_t end) override {
        for (; first_ < end; ++first_) {
            bytes_ -= batches_.front().bytes();
            batches_.pop_front();
        }
        shipment().freed(end);
    }

  private:
    struct Held {
        std::string id, sealed, keys, rows;
        [[nodiscard]] std::size_t bytes() const noexcept { return keys.size() + rows.size(); }
    };
    std::deque<Held> batches_;
    std::uint64_t first_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace apikey::ngx
