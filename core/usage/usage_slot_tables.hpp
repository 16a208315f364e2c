// The rows, keys and labels of a usage slot, as its sources get at them.
#pragma once

#include "core/usage/usage_slot_layout.hpp"

namespace apikey::usage::slot {

// A dense array with its index.
template <class Item>
class Table {
  public:
    // An item that is there, or kNone and the entry that would be its.
    struct Spot {
        std::uint32_t number;
        std::uint32_t entry;
    };

    Table(Header& header, const TableAt& at) noexcept
        : items_(reinterpret_cast<Item*>(header.here(at.items))),
          index_(reinterpret_cast<std::uint32_t*>(header.here(at.index))),
          mask_(at.mask) {}

    Item& operator[](std::uint32_t number) const noexcept { return items_[number]; }

    // `is(item)`: is it that one? `count`: of the live items.
    template <class Is>
    [[nodiscard]] Spot find(std::uint64_t hash, std::uint32_t count, Is is) const noexcept {
        for (std::uint32_t entry = static_cast<std::uint32_t>(hash) & mask_;; entry = (entry + 1) & mask_) {
            const std::uint32_t number = index_[entry];
            if (number >= count || items_[number].entry != entry) return {kNone, entry};
            if (is(items_[number])) return {number, entry};
        }
    }
    // Where find() looks first, and what it finds there: any number.
    [[nodiscard]] const std::uint32_t* place(std::uint64_t hash) const noexcept {
        return &index_[static_cast<std::uint32_t>(hash) & mask_];
    }
    [[nodiscard]] std::uint32_t guess(std::uint64_t hash) const noexcept { return *place(hash); }
    // Writes an item behind the last one; it is there when it is counted.
    void write(std::uint32_t number, std::uint32_t entry, const Item& item) const noexcept {
        items_[number] = item;
        items_[number].entry = entry;
        index_[entry] = number;
    }

  private:
    Item* items_;
    std::uint32_t* index_;
    std::uint32_t mask_;
};

inline Table<Row> rows_of(Header& header) noexcept {
    return {header, header.rows};
}
inline Table<Key> keys_of(Header& header) noexcept {
    return {header, header.keys};
}
inline Table<LabelEntry> labels_of(Header& header, Kind kind) noexcept {
    return {header, header.labels[kind]};
}

inline std::size_t text_bytes(const KeyUse& use) noexcept {
    return std::size_t{use.key_id_bytes} + use.user_bytes;
}
inline std::string_view key_id_of(Header& header, const Key& key) noexcept {
    return {header.text(header.arena.at + key.text), key.key_id};
}
inline std::string_view user_of(Header& header, const Key& key) noexcept {
    return {header.text(header.arena.at + key.text + key.key_id), key.user};
}
inline std::string_view label_of(Header& header, Kind kind, const LabelEntry& label) noexcept {
    return {header.text(header.texts[kind].at + label.text), label.bytes};
}
inline std::string_view endpoint_of(Header& header, const RowName& name) noexcept {
    return label_of(header, kEndpoint, labels_of(header, kEndpoint)[name.endpoint()]);
}
inline std::string_view model_of(Header& header, const RowName& name) noexcept {
    return label_of(header, kModel, labels_of(header, kModel)[name.model()]);
}

// In which entry of the index to begin.
inline std::uint64_t hash_of(const RowName& name) noexcept {
    const std::uint64_t mixed = name.what * 0x9e37'79b9'7f4a'7c15 ^ static_cast<std::uint64_t>(name.minute);
    return ((mixed ^ mixed >> 32) * 0xd6e8'feb8'6659'fd93) >> 32;
}

// Does what Redo says.
inline void apply(Header& header) noexcept {
    const Redo& redo = header.redo;
    rows_of(header)[redo.row].sums = redo.sums;
    keys_of(header)[redo.key].last_used = redo.last_used;
}

// --- usage_slot_make.cpp ---

// The first byte of the arena that is free.
std::uint32_t arena_used(Header& header) noexcept;
// The longest line that the key, or the row, may come to.
std::uint32_t longest_line(std::string_view key_id) noexcept;
std::uint32_t longest_line(Header& header, const RowName& name, std::string_view key_id,
                           std::string_view user) noexcept;
// Makes the fixed labels.
void make_labels(Header& header) noexcept;
// The number of a new label, whose entry of the index is known; kOther where there is no room for it.
std::uint32_t add_label(Header& header, Kind kind, const Label& label, std::uint32_t entry) noexcept;

// Where a request is counted: found, or to be made.
struct Target {
    Table<Key>::Spot key;
    Table<Row>::Spot row;
};
// Makes what is missing of the target, or nothing at all. The name's key is the target's, or the next that is made; without
// a name no row is missing.
UsageSlot::Added make(Header& header, const KeyUse& use, const RowName* name, Target& target) noexcept;

}  // namespace apikey::usage::slot
