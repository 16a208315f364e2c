// How a usage slot lies in memory; for its own sources and tests.
//
//   block  := Header  rows  keys  arena  labels of endpoints  labels of models  ring
//   rows   := Row*   index        keys   := Key*   index        arena := (key_id user)*
//   labels := LabelEntry*  index  text*                         ring  := (key lines, row lines)*
//
// Rows and keys are dense arrays that end with the epoch. An index is a hash table of numbers with linear probing, whose
// entries need not be cleared: entry e says something only when its number is below the count and the item of that number
// names e as its entry. At most three quarters of an index are taken, so that a search always ends.
//
// Sizes: nine sixteenths are the ring, an eleventh are labels (in small slots more), of the rest 17/32 rows, 6/32 keys, 9/32
// texts of keys.
//
//   slot      ring     a batch   rows     keys     endpoints, models   (all at least; rows and keys with ids of 36 bytes)
//   32 KiB    18 KiB   4.5 KiB   64       32       16 each
//   48 KiB    27 KiB   6.7 KiB   64       36       50 each
//   256 KiB   144 KiB  36 KiB    550      300      140 each
//   4 MiB     2 MiB    64 KiB    8000     4000     510 each
//
// A slot uses no more than its ring can be used for: kPlaces batches of kMostBatchBytes. Memory above about 8 MiB lies idle.
//
// All that would be sealed now fits into an empty ring, so that seal() cannot fail for ever: each row and key is counted
// with its longest line (Header::lines) before it is taken in.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "core/usage/usage_slot.hpp"

namespace apikey::usage::slot {

inline constexpr std::uint64_t kMagic = 0x746f'6c73'6567'6175;  // "uageslot"
inline constexpr std::size_t kMostBatchBytes = 64 * 1024;
inline constexpr std::uint32_t kMostLabels = 512;                            // of each kind
inline constexpr std::uint64_t kMostSum = (std::uint64_t{1} << 63) - 1;      // Postgres' bigint
inline constexpr std::uint64_t kSequenceEnd = (std::uint64_t{1} << 63) - 1;  // all batches have numbers below it
inline constexpr std::uint32_t kNone = 0xffff'ffff;                          // no row, no key
inline constexpr std::int64_t kNever = -1;                                   // last_used of a key that no request has
// What a line takes beside its escaped texts, at most. Key: TAB, 24 bytes of time, LF. Row: ten TAB, LF, minute 20, status
// 7, four sums of 19 digits, cost 20.
inline constexpr std::size_t kKeyLine = 26;
inline constexpr std::size_t kRowLine = 11 + 20 + 7 + 4 * 19 + 20;

// The compiler may not move a store over this line. The processor need not be told: what a killed process had stored is
// there, and what came after is not.
inline void in_order() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}
template <class T>
T load(const T& word) noexcept {
    return std::atomic_ref<T>(const_cast<T&>(word)).load(std::memory_order_acquire);
}
// One store, after everything before it and before everything after it.
template <class T>
void publish(T& word, T value) noexcept {
    in_order();
    std::atomic_ref<T>(word).store(value, std::memory_order_release);
    in_order();
}

// What rows of requests have in common.
struct RowName {
    std::uint64_t what;  // key << 32 | endpoint << 17 | model << 2 | success << 1 | has_cost
    std::int64_t minute;

    [[nodiscard]] std::uint32_t key() const noexcept { return static_cast<std::uint32_t>(what >> 32); }
    [[nodiscard]] std::uint32_t endpoint() const noexcept { return (what >> 17) & 0x7fff; }
    [[nodiscard]] std::uint32_t model() const noexcept { return (what >> 2) & 0x7fff; }
    [[nodiscard]] bool success() const noexcept { return (what & 2) != 0; }
    [[nodiscard]] bool has_cost() const noexcept { return (what & 1) != 0; }
    bool operator==(const RowName&) const noexcept = default;
};
static_assert(kMostLabels <= 0x7fff);

struct Sums {
    std::uint64_t requests;
    std::uint64_t tokens_in, tokens_out, tokens_cached;
    std::uint64_t cost;
};

struct Row {
    RowName name;
    Sums sums;  // no requests: it was made for one that its worker did not live to count
    std::uint32_t entry;
    std::uint32_t unused;
};
static_assert(sizeof(Row) == 64 && std::is_trivially_copyable_v<Row>);

struct Key {
    std::uint64_t hash;
    std::int64_t last_used;  // unix ms, or kNever
    std::uint32_t entry;
    std::uint32_t text;  // in the arena: key_id, user
    std::uint16_t key_id, user;
    std::uint32_t last_row;  // where its next request is looked for first
};
static_assert(sizeof(Key) == 32 && std::is_trivially_copyable_v<Key>);

struct LabelEntry {
    std::uint64_t hash;
    std::uint32_t entry;
    std::uint32_t text;  // in the texts of its kind
    std::uint32_t bytes;
    std::uint32_t unused;
};
static_assert(sizeof(LabelEntry) == 24 && std::is_trivially_copyable_v<LabelEntry>);

enum Kind : std::size_t { kEndpoint, kModel, kKinds };
// Labels that are always there.
inline constexpr std::uint32_t kNoLabel = 0;  // the empty text
inline constexpr std::uint32_t kOther = 1;
inline constexpr std::uint32_t kFixedLabels = 2;

// What one request makes of its row and key.
struct Redo {
    std::uint64_t armed;  // the epoch + 1 while this may be half done, else 0
    std::uint32_t row;
    std::uint32_t key;
    std::int64_t last_used;
    Sums sums;
};
static_assert(sizeof(Redo) == 64);

// Where a batch lies in the ring.
struct Place {
    std::uint32_t offset;
    std::uint32_t keys;  // bytes
    std::uint32_t rows;  // bytes, behind the keys
    std::uint32_t unused;
    std::int64_t sealed;

    [[nodiscard]] std::uint32_t end() const noexcept { return offset + keys + rows; }
};

// Offsets are from the header, sizes of items in items.
struct TableAt {
    std::uint32_t items, index;
    std::uint32_t capacity;
    std::uint32_t mask;  // entries of the index - 1
};
struct Area {
    std::uint32_t at, bytes;
};

struct alignas(64) Header {
    // Fixed by create().
    std::uint64_t magic;  // written last
    std::uint32_t layout;
    std::uint32_t bytes;
    TableAt rows, keys;
    Area arena;
    std::uint32_t most_key_text;  // bytes of key_id and user
    std::uint32_t most_lines;     // what `lines` may come to
    // Not often needed.
    std::array<TableAt, kKinds> labels;
    std::array<Area, kKinds> texts;
    Area ring;
    std::uint32_t most_batch;
    std::uint32_t unused;
    // Of the owner. A Count is `low half of the epoch << 32 | count`, and 0 in any other epoch.
    alignas(64) Owner owner;
    std::uint64_t sequence;  // of the next batch: the epoch
    std::uint64_t freed;     // the first batch that is not free
    std::uint64_t row_count, key_count;
    std::uint64_t lines;  // bytes of all lines that seal() would write, at most
    std::array<std::uint64_t, kKinds> label_count;
    Redo redo;
    std::array<Place, UsageSlot::kPlaces> places;

    [[nodiscard]] std::byte* here(std::uint32_t offset) noexcept { return reinterpret_cast<std::byte*>(this) + offset; }
    [[nodiscard]] char* text(std::uint32_t offset) noexcept { return reinterpret_cast<char*>(here(offset)); }

    [[nodiscard]] std::uint32_t live(std::uint64_t count) const noexcept {
        return count >> 32 == (sequence & 0xffff'ffff) ? static_cast<std::uint32_t>(count) : 0;
    }
    void set_live(std::uint64_t& count, std::uint32_t value) const noexcept { publish(count, sequence << 32 | value); }
    [[nodiscard]] Place& place(std::uint64_t batch) noexcept { return places[batch % UsageSlot::kPlaces]; }
};
static_assert(offsetof(Header, labels) == 64 && offsetof(Header, owner) % 64 == 0 && offsetof(Header, redo) % 64 == 0);
static_assert(std::is_trivially_copyable_v<Header> && std::is_standard_layout_v<Header>);

}  // namespace apikey::usage::slot
