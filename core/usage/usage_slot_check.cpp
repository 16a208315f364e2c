// A slot looked over as a whole. Every state that a killed owner may leave passes, before recover() too.
#include <bit>

#include "core/usage/batch_text.hpp"
#include "core/usage/usage_slot.hpp"
#include "core/usage/usage_slot_tables.hpp"

namespace apikey::usage {

using slot::Header;
using slot::Key;
using slot::Row;
using slot::RowName;

namespace {

bool lies_within(const Header& header, std::uint64_t begin, std::uint64_t bytes) noexcept {
    return begin >= sizeof(Header) && begin + bytes <= header.bytes;
}

template <class Item>
bool is_sound_table(const Header& header, const slot::TableAt& table, std::uint64_t count) noexcept {
    const std::uint64_t entries = std::uint64_t{table.mask} + 1;
    return std::has_single_bit(entries) && table.capacity * std::uint64_t{4} <= entries * 3 &&
           count <= table.capacity && lies_within(header, table.items, table.capacity * sizeof(Item)) &&
           lies_within(header, table.index, entries * 4);
}

bool is_sound_layout(const Header& header) noexcept {
    if (header.magic != slot::kMagic || header.layout != UsageSlot::kLayout || header.bytes < UsageSlot::kFewestBytes ||
        header.bytes > UsageSlot::kMostBytes)
        return false;
    for (std::size_t kind = 0; kind < slot::kKinds; ++kind) {
        if (!is_sound_table<slot::LabelEntry>(header, header.labels[kind], header.label_count[kind])) return false;
        if (!lies_within(header, header.texts[kind].at, header.texts[kind].bytes)) return false;
        if (header.label_count[kind] < slot::kFixedLabels) return false;
    }
    return is_sound_table<Row>(header, header.rows, header.live(header.row_count)) &&
           is_sound_table<Key>(header, header.keys, header.live(header.key_count)) &&
           lies_within(header, header.arena.at, header.arena.bytes) &&
           lies_within(header, header.ring.at, header.ring.bytes) && header.most_lines <= header.ring.bytes;
}

// Every label is found under its number, so that none is there twice, and their texts lie one behind the other.
bool are_sound_labels(Header& header, slot::Kind kind) noexcept {
    const auto labels = slot::labels_of(header, kind);
    const auto count = static_cast<std::uint32_t>(header.label_count[kind]);
    std::uint64_t end = 0;
    for (std::uint32_t at = 0; at < count; ++at) {
        const slot::LabelEntry& label = labels[at];
        end += label.bytes;
        if (label.bytes > kMaxLabelBytes || label.text + std::uint64_t{label.bytes} != end ||
            end > header.texts[kind].bytes || (label.bytes == 0) != (at == slot::kNoLabel))
            return false;
        if (at == slot::kNoLabel) continue;
        const std::string_view text = slot::label_of(header, kind, label);
        const auto spot = labels.find(label.hash, count, [&](const slot::LabelEntry& other) noexcept {
            return other.hash == label.hash && slot::label_of(header, kind, other) == text;
        });
        if (spot.number != at) return false;
    }
    return slot::label_of(header, kind, labels[slot::kOther]) == kOtherLabel;
}

bool are_sound_keys(Header& header, std::uint64_t& lines) noexcept {
    const auto keys = slot::keys_of(header);
    const std::uint32_t count = header.live(header.key_count);
    std::uint64_t end = 0;
    for (std::uint32_t at = 0; at < count; ++at) {
        const Key& key = keys[at];
        if (key.text != end || key.last_used < slot::kNever) return false;
        end += std::uint64_t{key.key_id} + key.user;
        if (end > header.arena.bytes) return false;
        const auto spot = keys.find(key.hash, count, [&](const Key& other) noexcept {
            return other.hash == key.hash && slot::key_id_of(header, other) == slot::key_id_of(header, key) &&
                   slot::user_of(header, other) == slot::user_of(header, key);
        });
        if (spot.number != at) return false;
        lines += slot::longest_line(slot::key_id_of(header, key));
    }
    return true;
}

bool are_sound_sums(const slot::Sums& sums) noexcept {
    for (const std::uint64_t sum : {sums.requests, sums.tokens_in, sums.tokens_out, sums.tokens_cached, sums.cost})
        if (sum > slot::kMostSum) return false;
    return true;
}

bool is_sound_name(const Header& header, const RowName& name) noexcept {
    return name.key() < header.live(header.key_count) && name.endpoint() < header.label_count[slot::kEndpoint] &&
           name.model() < header.label_count[slot::kModel] && name.minute >= 0;
}

bool are_sound_rows(Header& header, std::uint64_t& lines) noexcept {
    const auto rows = slot::rows_of(header);
    const std::uint32_t count = header.live(header.row_count);
    for (std::uint32_t at = 0; at < count; ++at) {
        const Row& row = rows[at];
        if (!is_sound_name(header, row.name) || !are_sound_sums(row.sums)) return false;
        if (!row.name.has_cost() && row.sums.cost != 0) return false;
        const auto spot = rows.find(slot::hash_of(row.name), count,
                                    [&](const Row& other) noexcept { return other.name == row.name; });
        if (spot.number != at) return false;
        const Key& key = slot::keys_of(header)[row.name.key()];
        // One that was used has its line.
        if (row.sums.requests != 0 && key.last_used == slot::kNever && header.redo.armed == 0) return false;
        lines += slot::longest_line(header, row.name, slot::key_id_of(header, key), slot::user_of(header, key));
    }
    return true;
}

bool is_sound_redo(const Header& header) noexcept {
    const slot::Redo& redo = header.redo;
    if (redo.armed == 0) return true;
    return redo.armed == header.sequence + 1 && redo.key < header.live(header.key_count) && redo.last_used >= 0 &&
           redo.row < header.live(header.row_count) && are_sound_sums(redo.sums);
}

// Batches are one behind the other, around the ring's end once at most.
bool is_sound_ring(Header& header) noexcept {
    if (header.freed > header.sequence || header.sequence - header.freed > UsageSlot::kPlaces) return false;
    if (header.freed == header.sequence) return true;
    const std::uint64_t begin = header.place(header.freed).offset;
    std::uint64_t end = begin;
    bool wrapped = false;
    for (std::uint64_t batch = header.freed; batch < header.sequence; ++batch) {
        const slot::Place& place = header.place(batch);
        const std::uint64_t bytes = std::uint64_t{place.keys} + place.rows;
        if (place.offset != end) {
            if (place.offset != 0 || wrapped) return false;
            wrapped = true;
        }
        end = place.offset + bytes;
        if (bytes == 0 || bytes > header.most_batch || end > (wrapped ? begin : header.ring.bytes)) return false;
    }
    return true;
}

}  // namespace

bool UsageSlot::check() const noexcept {
    Header& header = *header_;
    std::uint64_t lines = 0;
    return is_sound_layout(header) && are_sound_labels(header, slot::kEndpoint) &&
           are_sound_labels(header, slot::kModel) && are_sound_keys(header, lines) && are_sound_rows(header, lines) &&
           lines <= header.live(header.lines) && header.live(header.lines) <= header.most_lines &&
           is_sound_redo(header) && is_sound_ring(header);
}

}  // namespace apikey::usage
