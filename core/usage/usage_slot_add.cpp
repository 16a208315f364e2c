// Counting one request: its key, its labels, its row, and the redo record. A request whose key's last one was of the same
// row takes about 290 instructions, a third of them to compare its texts.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/usage/usage_slot.hpp"
#include "core/usage/usage_slot_tables.hpp"

namespace apikey::usage {

using slot::Header;
using slot::Key;
using slot::kNone;
using slot::Row;
using slot::RowName;
using slot::Sums;

namespace {

std::uint64_t mix(std::uint64_t state, std::uint64_t word) noexcept {
    const std::uint64_t mixed = (state ^ word) * 0x9e37'79b9'7f4a'7c15;
    return mixed ^ mixed >> 32;
}

std::uint64_t word_at(const char* place) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, place, 8);
    return word;
}

// Fewer than eight, all of them.
inline std::uint64_t few_bytes(const char* place, std::size_t bytes) noexcept {
    if (bytes >= 4) {
        std::array<std::uint32_t, 2> halves;  // they may overlap
        std::memcpy(&halves[0], place, 4);
        std::memcpy(&halves[1], place + bytes - 4, 4);
        return std::bit_cast<std::uint64_t>(halves);
    }
    if (bytes == 0) return 0;
    const auto at = [place](std::size_t n) noexcept { return std::uint64_t{static_cast<unsigned char>(place[n])}; };
    return at(0) | at(bytes / 2) << 8 | at(bytes - 1) << 16;
}

// Sixteen bytes, in one vector register (GCC and clang; any processor).
using Block = std::uint64_t __attribute__((vector_size(16)));

inline Block block_at(const char* place) noexcept {
    Block block;
    std::memcpy(&block, place, sizeof block);
    return block;
}

[[gnu::noinline]] bool are_same_few(const char* one, const char* other, std::size_t bytes) noexcept {
    if (bytes < 8) return few_bytes(one, bytes) == few_bytes(other, bytes);
    return word_at(one) == word_at(other) && word_at(one + bytes - 8) == word_at(other + bytes - 8);
}

// Compared here, for a call of memcmp() takes longer than all of this. The last bytes perhaps twice.
inline bool are_same(const char* one, const char* other, std::size_t bytes) noexcept {
    if (bytes < sizeof(Block)) return are_same_few(one, other, bytes);
    const std::size_t last = bytes - sizeof(Block);
    Block differences = block_at(one + last) ^ block_at(other + last);
    for (std::size_t at = 0; at < last; at += sizeof(Block))
        differences |= block_at(one + at) ^ block_at(other + at);
    return (differences[0] | differences[1]) == 0;
}

inline bool is_text(const char* place, std::size_t bytes, std::string_view text) noexcept {
    const char* const other = text.data();
    return bytes == text.size() && are_same(place, other, bytes);
}

inline std::uint32_t find_or_add_label(Header& header, slot::Kind kind, const Label& label, bool& other) noexcept {
    if (label.text.empty()) return slot::kNoLabel;
    const auto count = static_cast<std::uint32_t>(header.label_count[kind]);
    const char* const texts = header.text(header.texts[kind].at);
    const auto spot =
        slot::labels_of(header, kind).find(label.hash, count, [&](const slot::LabelEntry& entry) noexcept {
            return entry.hash == label.hash && is_text(texts + entry.text, entry.bytes, label.text);
        });
    if (spot.number != kNone) return spot.number;
    const std::uint32_t added = slot::add_label(header, kind, label, spot.entry);
    other |= added == slot::kOther;
    return added;
}

// The texts lie one behind the other here and there.
inline bool is_key_of(Header& header, const Key& key, const KeyUse& use) noexcept {
    return key.hash == use.key_hash && key.key_id == use.key_id_bytes && key.user == use.user_bytes &&
           are_same(header.text(header.arena.at + key.text), use.texts, slot::text_bytes(use));
}

// The number of the key where the index has it first, as it does for nearly all; else kNone.
inline std::uint32_t find_key_at_once(Header& header, const KeyUse& use) noexcept {
    const auto keys = slot::keys_of(header);
    const std::uint32_t number = keys.guess(use.key_hash);
    return number < header.live(header.key_count) && is_key_of(header, keys[number], use) ? number : kNone;
}

slot::Table<Key>::Spot find_key(Header& header, const KeyUse& use) noexcept {
    return slot::keys_of(header).find(use.key_hash, header.live(header.key_count),
                                      [&](const Key& key) noexcept { return is_key_of(header, key, use); });
}

inline slot::Table<Row>::Spot find_row(Header& header, const RowName& name) noexcept {
    return slot::rows_of(header).find(slot::hash_of(name), header.live(header.row_count),
                                      [&](const Row& row) noexcept { return row.name == name; });
}

// What does not stay below 2^63 stays at kMostSum. Gives whether any did not.
inline bool add_to(Sums& sums, const Sums& more) noexcept {
    const Sums total{sums.requests + more.requests, sums.tokens_in + more.tokens_in, sums.tokens_out + more.tokens_out,
                     sums.tokens_cached + more.tokens_cached, sums.cost + more.cost};
    const auto bits = [](const Sums& of) noexcept {
        return of.requests | of.tokens_in | of.tokens_out | of.tokens_cached | of.cost;
    };
    if ((bits(more) | bits(total)) <= slot::kMostSum) [[likely]] {
        sums = total;
        return false;
    }
    for (const auto sum : {&Sums::requests, &Sums::tokens_in, &Sums::tokens_out, &Sums::tokens_cached, &Sums::cost})
        sums.*sum += std::min(more.*sum, slot::kMostSum - sums.*sum);
    return true;
}

inline Sums sums_of(const Record& record) noexcept {
    return {1, record.tokens_in, record.tokens_out, record.tokens_cached, record.cost.value_or(0)};
}

// Writes down what is to be done to a row and its key, then does it as slot::apply() would. Gives whether a sum is saturated.
inline bool count(Header& header, const Record& record, std::int64_t at, std::uint32_t key_number,
                  std::uint32_t row_number) noexcept {
    slot::Redo& redo = header.redo;
    Row& row = slot::rows_of(header)[row_number];
    Key& key = slot::keys_of(header)[key_number];
    Sums sums = row.sums;
    const bool saturated = add_to(sums, sums_of(record));
    const std::int64_t last_used = std::max(at, key.last_used);
    redo.row = row_number;
    redo.key = key_number;
    redo.last_used = last_used;
    redo.sums = sums;
    slot::publish(redo.armed, header.sequence + 1);
    row.sums = sums;
    key.last_used = last_used;
    slot::publish<std::uint64_t>(redo.armed, 0);
    return saturated;
}

inline std::uint64_t flags_of(const Record& record) noexcept {
    return (record.success ? 2U : 0U) | (record.cost ? 1U : 0U);
}

inline bool is_label(Header& header, slot::Kind kind, std::uint32_t number, const Label& label) noexcept {
    const slot::LabelEntry& entry = slot::labels_of(header, kind)[number];
    return is_text(header.text(header.texts[kind].at + entry.text), entry.bytes, label.text);
}

// Is the key's last request of the same row?
inline bool is_same_row(Header& header, std::uint32_t key, std::uint32_t number, const Record& record,
                        std::int64_t minute) noexcept {
    if (number == kNone) return false;
    const RowName& name = slot::rows_of(header)[number].name;
    return name.key() == key && name.minute == minute && (name.what & 3) == flags_of(record) &&
           is_label(header, slot::kEndpoint, name.endpoint(), record.endpoint) &&
           is_label(header, slot::kModel, name.model(), record.model);
}

// Finds the row, or makes it, and its key, if that is missing.
UsageSlot::Addition find_or_make_row(Header& header, const Record& record, std::int64_t minute,
                                     slot::Target& target) noexcept {
    UsageSlot::Addition addition = UsageSlot::Added::counted;
    bool other = false;
    const std::uint64_t key = target.key.number != kNone ? target.key.number : header.live(header.key_count);
    const std::uint64_t endpoint = find_or_add_label(header, slot::kEndpoint, record.endpoint, other);
    const std::uint64_t model = find_or_add_label(header, slot::kModel, record.model, other);
    const RowName name{key << 32 | endpoint << 17 | model << 2 | flags_of(record), minute};
    target.row = find_row(header, name);
    if (target.row.number == kNone) addition.added = slot::make(header, record, &name, target);
    if (addition.added == UsageSlot::Added::counted)
        slot::keys_of(header)[target.key.number].last_row = target.row.number;
    addition.other = other;
    return addition;
}

// Where the key, or its row, is not where it is looked for first. `key`: its number, or kNone.
[[gnu::noinline]] UsageSlot::Addition add_elsewhere(Header& header, const Record& record, std::int64_t at,
                                                    std::int64_t minute, std::uint32_t key) noexcept {
    slot::Target target{{key, 0}, {kNone, 0}};
    if (key == kNone) target.key = find_key(header, record);
    UsageSlot::Addition addition = find_or_make_row(header, record, minute, target);
    if (addition.added == UsageSlot::Added::counted)
        addition.saturated = count(header, record, at, target.key.number, target.row.number);
    return addition;
}

// One store is done or not: nothing need be written down before.
inline void set_last_used(Header& header, std::uint32_t key_number, std::int64_t at) noexcept {
    Key& key = slot::keys_of(header)[key_number];
    slot::publish(key.last_used, std::max(at, key.last_used));
}

[[gnu::noinline]] UsageSlot::Added touch_elsewhere(Header& header, const KeyUse& use, std::int64_t at) noexcept {
    slot::Target target{find_key(header, use), {kNone, 0}};
    if (target.key.number == kNone) {
        const UsageSlot::Added made = slot::make(header, use, nullptr, target);
        if (made != UsageSlot::Added::counted) return made;
    }
    set_last_used(header, target.key.number, at);
    return UsageSlot::Added::counted;
}

inline std::int64_t time_of(const KeyUse& use) noexcept {
    return std::max<std::int64_t>(use.at, 0);
}

bool is_mostly_used(std::uint64_t used, std::uint64_t room) noexcept {
    return used * 4 > room * 3;
}

}  // namespace

std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t state = mix(0x243f'6a88'85a3'08d3, text.size());
    const char* at = text.data();
    std::size_t left = text.size();
    for (; left >= 8; at += 8, left -= 8)
        state = mix(state, word_at(at));
    std::uint64_t last = 0;
    if (left != 0) std::memcpy(&last, at, left);
    return mix(mix(state, last), 0x1319'8a2e'0370'7344);
}

UsageSlot::Addition UsageSlot::add(const Record& record) noexcept {
    Header& header = *header_;
    const std::int64_t at = time_of(record);
    const auto minute = static_cast<std::int64_t>(static_cast<std::uint64_t>(at) / 60'000);
    const std::uint32_t key = find_key_at_once(header, record);
    const std::uint32_t row = key != kNone ? slot::keys_of(header)[key].last_row : kNone;
    if (!is_same_row(header, key, row, record, minute)) return add_elsewhere(header, record, at, minute, key);
    return {Added::counted, false, count(header, record, at, key, row)};
}

UsageSlot::Added UsageSlot::touch(const KeyUse& use) noexcept {
    Header& header = *header_;
    const std::int64_t at = time_of(use);
    const std::uint32_t key = find_key_at_once(header, use);
    if (key == kNone) return touch_elsewhere(header, use, at);
    set_last_used(header, key, at);
    return Added::counted;
}

void UsageSlot::prefetch_index(std::uint64_t key_hash) const noexcept {
    __builtin_prefetch(slot::keys_of(*header_).place(key_hash));
}

void UsageSlot::prefetch_key(std::uint64_t key_hash) const noexcept {
    const slot::Table<Key> keys = slot::keys_of(*header_);
    __builtin_prefetch(&keys[keys.guess(key_hash)]);
}

// So far behind their beginning, the texts of most keys (two ids of 36 bytes) lie in their last cache line.
constexpr std::size_t kUsualTextBytes = 63;

void UsageSlot::prefetch_row(std::uint64_t key_hash) const noexcept {
    Header& header = *header_;
    const slot::Table<Key> keys = slot::keys_of(header);
    const std::uint32_t guess = keys.guess(key_hash);
    if (guess >= header.keys.capacity) return;  // nothing was there yet; what is no key any more does no harm
    const Key& key = keys[guess];
    const char* const text = header.text(header.arena.at + key.text);
    __builtin_prefetch(text);
    __builtin_prefetch(text + kUsualTextBytes);
    if (key.last_row != kNone) __builtin_prefetch(&slot::rows_of(header)[key.last_row], 1);
}

bool UsageSlot::has_rows() const noexcept {
    // Every request has a key; one without a request is of a worker that was killed.
    const auto keys = slot::keys_of(*header_);
    for (std::uint32_t at = 0; at < header_->live(header_->key_count); ++at)
        if (keys[at].last_used != slot::kNever) return true;
    return false;
}

bool UsageSlot::is_crowded() const noexcept {
    Header& header = *header_;
    return is_mostly_used(header.live(header.row_count), header.rows.capacity) ||
           is_mostly_used(header.live(header.key_count), header.keys.capacity) ||
           is_mostly_used(slot::arena_used(header), header.arena.bytes) ||
           is_mostly_used(header.live(header.lines), header.most_lines);
}

}  // namespace apikey::usage
