// Where sealed batches wait for Redis: a slot of the zone, or the spool. Batches have numbers there, and first() <= n <
// end() are to be sent; how far each of them has come is the Shipment's to know.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
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
    [[nodiscard]] bool is_private() const noexcept { return owned_.memory != nullptr; }
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

}  // namespace apikey::ngx
