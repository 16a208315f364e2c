// What a slot is: layout, owners, and the batches in its ring. Counting is in usage_slot_add.cpp.
#include "core/usage/usage_slot.hpp"

#include <algorithm>
#include <memory>

#include "core/usage/usage_slot_tables.hpp"

namespace apikey::usage {

using slot::Header;
using slot::load;
using slot::Place;
using slot::publish;

namespace {

constexpr std::uint32_t kIndexEntryBytes = 12;  // of an index for each item, at most

// Lays areas one behind the other.
class Plan {
  public:
    std::uint32_t take(std::uint32_t bytes) noexcept {
        const std::uint32_t at = end_;
        end_ += (bytes + 7) & ~7U;
        return at;
    }
    slot::Area area(std::uint32_t bytes) noexcept { return {take(bytes), bytes}; }
    slot::TableAt table(std::uint32_t item_bytes, std::uint32_t capacity) noexcept {
        const std::uint32_t entries = std::bit_ceil(capacity * 4 / 3 + 1);
        const std::uint32_t items = take(capacity * item_bytes);
        return {items, take(entries * 4), capacity, entries - 1};
    }
    [[nodiscard]] std::uint32_t end() const noexcept { return end_; }

  private:
    std::uint32_t end_ = sizeof(Header);
};

void lay_out_labels(Header& header, Plan& plan, std::uint32_t bytes) noexcept {
    constexpr std::uint32_t kBytes = 80;  // of each, with 44 of text
    const std::uint32_t item = sizeof(slot::LabelEntry) + kIndexEntryBytes;
    const std::uint32_t capacity = std::min(bytes / kBytes, slot::kMostLabels);
    const auto texts =
        static_cast<std::uint32_t>(std::min<std::size_t>(bytes - capacity * item, slot::kMostLabels * kMaxLabelBytes));
    for (std::size_t kind = 0; kind < slot::kKinds; ++kind) {
        header.labels[kind] = plan.table(sizeof(slot::LabelEntry), capacity);
        header.texts[kind] = plan.area(texts);
    }
}

// Where everything lies in so many bytes.
void lay_out(Header& header, std::uint32_t bytes) noexcept {
    constexpr auto kPlaces = static_cast<std::uint32_t>(UsageSlot::kPlaces);
    constexpr auto kMostBatch = static_cast<std::uint32_t>(slot::kMostBatchBytes);
    constexpr std::uint32_t kPadding = 128;
    constexpr std::uint32_t kBare = 24 * 1024;  // bytes that a slot needs for all else
    constexpr std::uint32_t kFewDozenLabels = 12 * 1024;
    const std::uint32_t ring = std::min(bytes / 16 * 9, kPlaces * kMostBatch) & ~7U;
    // A site with a few dozen locations finds all of them in its rows, however small its zone.
    const std::uint32_t labels = std::max(bytes / 11, std::min((bytes - kBare) / 3, kFewDozenLabels));
    header.bytes = bytes;
    header.most_batch = std::min(ring / 4, kMostBatch);
    // Two neighbouring batches are together larger than most_batch, or else they would be one.
    header.most_lines = std::min(ring, (kPlaces / 2 - 1) * header.most_batch);

    Plan plan;
    const std::uint32_t part = (bytes - ring - labels - plan.end() - kPadding) / 32;
    const std::size_t rows = std::size_t{17} * part / (sizeof(slot::Row) + kIndexEntryBytes);
    const std::size_t keys = std::size_t{6} * part / (sizeof(slot::Key) + kIndexEntryBytes);
    header.rows =
        plan.table(sizeof(slot::Row), static_cast<std::uint32_t>(std::min(rows, header.most_lines / slot::kRowLine)));
    header.keys =
        plan.table(sizeof(slot::Key), static_cast<std::uint32_t>(std::min(keys, header.most_lines / slot::kKeyLine)));
    header.arena = plan.area(std::min(9 * part, header.most_lines));
    lay_out_labels(header, plan, labels / 2);
    header.ring = plan.area(ring);

    constexpr auto kOthers = static_cast<std::uint32_t>(slot::kRowLine + kMaxLabelBytes * 2 * 2);
    header.most_key_text = std::min((header.most_batch - kOthers) / 2, header.arena.bytes);
}

std::uint32_t used_ring_bytes(Header& header, std::uint64_t first, std::uint64_t next) noexcept {
    if (first == next) return 0;
    const std::uint32_t begin = header.place(first).offset;
    const std::uint32_t end = header.place(next - 1).end();
    return end > begin ? end - begin : header.ring.bytes - begin + end;
}

// The longest lines of all rows and keys.
std::uint32_t count_lines(Header& header) noexcept {
    std::uint32_t lines = 0;
    const auto keys = slot::keys_of(header);
    const auto rows = slot::rows_of(header);
    for (std::uint32_t at = 0; at < header.live(header.key_count); ++at)
        lines += slot::longest_line(slot::key_id_of(header, keys[at]));
    for (std::uint32_t at = 0; at < header.live(header.row_count); ++at) {
        const slot::Key& key = keys[rows[at].name.key()];
        lines += slot::longest_line(header, rows[at].name, slot::key_id_of(header, key), slot::user_of(header, key));
    }
    return lines;
}

}  // namespace

bool UsageSlot::create(void* memory, std::size_t bytes, std::uint64_t sequence) noexcept {
    if (bytes < kFewestBytes || reinterpret_cast<std::uintptr_t>(memory) % alignof(Header) != 0) return false;
    auto& header = *std::construct_at(static_cast<Header*>(memory));
    slot::in_order();
    lay_out(header, static_cast<std::uint32_t>(std::min(bytes, kMostBytes)));
    header.layout = kLayout;
    header.sequence = header.freed = sequence;
    header.set_live(header.row_count, 0);
    header.set_live(header.key_count, 0);
    header.set_live(header.lines, 0);
    slot::make_labels(header);
    publish(header.magic, slot::kMagic);
    return true;
}

UsageSlot::UsageSlot(void* memory) noexcept : header_(static_cast<Header*>(memory)) {}

Owner UsageSlot::owner() const noexcept {
    return load(header_->owner);
}

bool UsageSlot::take(Owner from, Owner me) noexcept {
    return std::atomic_ref<Owner>(header_->owner).compare_exchange_strong(from, me, std::memory_order_acq_rel);
}

void UsageSlot::release() noexcept {
    publish<Owner>(header_->owner, 0);
}

void UsageSlot::recover() noexcept {
    Header& header = *header_;
    // Armed in an epoch that is over: that cannot be, and must not be done.
    if (header.redo.armed == header.sequence + 1) slot::apply(header);
    publish<std::uint64_t>(header.redo.armed, 0);
    // The last owner may have died before its seal() had done the same: counts of an old epoch must not be there when
    // the low half of the sequence comes round.
    header.set_live(header.row_count, header.live(header.row_count));
    header.set_live(header.key_count, header.live(header.key_count));
    header.set_live(header.lines, count_lines(header));
    if (header.live(header.row_count) != 0) return;
    for (std::uint64_t& count : header.label_count)
        publish<std::uint64_t>(count, slot::kFixedLabels);
}

std::size_t UsageSlot::most_batch_bytes() const noexcept {
    return header_->most_batch;
}

std::uint64_t UsageSlot::first() const noexcept {
    return load(header_->freed);
}

std::uint64_t UsageSlot::next() const noexcept {
    return load(header_->sequence);
}

Batch UsageSlot::batch(std::uint64_t sequence) const noexcept {
    const Place& place = header_->place(sequence);
    const char* const text = header_->text(header_->ring.at + place.offset);
    return {sequence, place.sealed, {text, place.keys}, {text + place.keys, place.rows}};
}

bool UsageSlot::is_backed_up() const noexcept {
    const std::uint64_t first = this->first();
    const std::uint64_t next = this->next();
    return next - first > kPlaces / 2 || used_ring_bytes(*header_, first, next) > header_->ring.bytes / 2;
}

void UsageSlot::free(std::uint64_t end) noexcept {
    publish(header_->freed, std::clamp(end, first(), next()));
}

}  // namespace apikey::usage
