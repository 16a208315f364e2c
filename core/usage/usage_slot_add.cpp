// Counting one request: its key, its labels, its row, and the redo record. A request of a known row is a few hundred
// instructions at most: four searches, and sums written twice.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/usage/batch_text.hpp"
#include "core/usage/usage_slot.hpp"
#include "core/usage/usage_slot_layout.hpp"

namespace apikey::usage {

using slot::Header;
using slot::Key;
using slot::kNone;
using slot::Row;
using slot::RowName;
using slot::Sums;

namespace {

std::uint32_t escaped_bytes(std::string_view text) noexcept {
    return static_cast<std::uint32_t>(LineWriter(nullptr, 0).text(text).size());
}

std::uint64_t mix(std::uint64_t state, std::uint64_t word) noexcept {
    const std::uint64_t mixed = (state ^ word) * 0x9e37'79b9'7f4a'7c15;
    return mixed ^ mixed >> 32;
}

std::uint64_t word_at(const char* place) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, place, 8);
    return word;
}

// Compared here, eight bytes at a time, for four calls would be a third of the work of counting a request.
inline bool is_text(const char* place, std::size_t bytes, std::string_view text) noexcept {
    if (bytes != text.size()) return false;
    const char* const other = text.data();
    if (bytes < 8) return bytes == 0 || std::memcmp(place, other, bytes) == 0;
    std::uint64_t differences = word_at(place + bytes - 8) ^ word_at(other + bytes - 8);
    for (std::size_t at = 0; at < bytes - 8; at += 8)
        differences |= word_at(place + at) ^ word_at(other + at);
    return differences == 0;
}

// The label's number, or the other's where there is no room. Apart, so that the searches need no registers for it.
[[gnu::noinline]] std::uint32_t add_label(Header& header, slot::Kind kind, const Label& label,
                                          std::uint32_t entry) noexcept {
    const auto labels = slot::labels_of(header, kind);
    const auto count = static_cast<std::uint32_t>(header.label_count[kind]);
    const std::uint32_t at = labels[count - 1].text + labels[count - 1].bytes;
    const std::size_t bytes = label.text.size();
    if (count == header.labels[kind].capacity || bytes > kMaxLabelBytes || bytes > header.texts[kind].bytes - at)
        return slot::kOther;
    std::memcpy(header.text(header.texts[kind].at + at), label.text.data(), bytes);
    labels.write(count, entry, {label.hash, 0, at, static_cast<std::uint32_t>(bytes), 0});
    slot::publish<std::uint64_t>(header.label_count[kind], count + 1);
    return count;
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
    const std::uint32_t added = add_label(header, kind, label, spot.entry);
    other |= added == slot::kOther;
    return added;
}

inline slot::Table<Key>::Spot find_key(Header& header, const Record& record) noexcept {
    const char* const arena = header.text(header.arena.at);
    return slot::keys_of(header).find(record.key_hash, header.live(header.key_count), [&](const Key& key) noexcept {
        const char* const text = arena + key.text;
        return key.hash == record.key_hash && is_text(text, key.key_id, record.key_id) &&
               is_text(text + key.key_id, key.user, record.user);
    });
}

inline slot::Table<Row>::Spot find_row(Header& header, const RowName& name) noexcept {
    return slot::rows_of(header).find(slot::hash_of(name), header.live(header.row_count),
                                      [&](const Row& row) noexcept { return row.name == name; });
}

void append_key(Header& header, const Record& record, std::uint32_t entry) noexcept {
    const std::uint32_t count = header.live(header.key_count);
    const std::uint32_t at = slot::arena_used(header);
    char* const text = header.text(header.arena.at + at);
    if (!record.key_id.empty()) std::memcpy(text, record.key_id.data(), record.key_id.size());
    if (!record.user.empty()) std::memcpy(text + record.key_id.size(), record.user.data(), record.user.size());
    Key key{};
    key.hash = record.key_hash;
    key.last_used = slot::kNever;
    key.last_row = kNone;
    key.text = at;
    key.key_id = static_cast<std::uint16_t>(record.key_id.size());
    key.user = static_cast<std::uint16_t>(record.user.size());
    slot::keys_of(header).write(count, entry, key);
    header.set_live(header.key_count, count + 1);
}

void append_row(Header& header, const RowName& name, std::uint32_t entry) noexcept {
    const std::uint32_t count = header.live(header.row_count);
    Row row{};
    row.name = name;
    slot::rows_of(header).write(count, entry, row);
    header.set_live(header.row_count, count + 1);
}

// Where a request is counted; found or made. `name.key()` is its key, which may be the next one that is made.
struct Target {
    slot::Table<Key>::Spot key;
    slot::Table<Row>::Spot row;
};

// Makes what is missing of the target, or nothing at all.
[[gnu::noinline]] UsageSlot::Added make(Header& header, const Record& record, const RowName& name,
                                        Target& target) noexcept {
    const bool new_key = target.key.number == kNone;
    const bool new_row = target.row.number == kNone && !record.only_last_used;
    const std::size_t text = record.key_id.size() + record.user.size();
    if (text > header.most_key_text) return UsageSlot::Added::too_long;
    const std::uint32_t keys = header.live(header.key_count);
    const std::uint32_t rows = header.live(header.row_count);
    if (new_key && (keys == header.keys.capacity || text > header.arena.bytes - slot::arena_used(header)))
        return UsageSlot::Added::full;
    if (new_row && rows == header.rows.capacity) return UsageSlot::Added::full;
    std::uint32_t lines = header.live(header.lines);
    if (new_key) lines += slot::longest_line(record.key_id);
    if (new_row) lines += slot::longest_line(header, name, record.key_id, record.user);
    if (lines > header.most_lines) return UsageSlot::Added::full;

    header.set_live(header.lines, lines);
    if (new_key) {
        append_key(header, record, target.key.entry);
        target.key.number = keys;
    }
    if (new_row) {
        append_row(header, name, target.row.entry);
        target.row.number = rows;
    }
    return UsageSlot::Added::counted;
}

constexpr std::array<std::uint64_t Sums::*, 5> kSums = {&Sums::requests, &Sums::tokens_in, &Sums::tokens_out,
                                                        &Sums::tokens_cached, &Sums::cost};

// What does not stay below 2^63 stays at kMostSum. Gives whether any did not.
inline bool add_to(Sums& sums, const Sums& more) noexcept {
    Sums total{};
    std::uint64_t bits = 0;
    for (const auto sum : kSums) {
        total.*sum = sums.*sum + more.*sum;
        bits |= total.*sum | more.*sum;
    }
    const bool saturated = bits > slot::kMostSum;
    if (saturated) [[unlikely]] {
        for (const auto sum : kSums)
            total.*sum = sums.*sum + std::min(more.*sum, slot::kMostSum - sums.*sum);
    }
    sums = total;
    return saturated;
}

inline Sums sums_of(const Record& record) noexcept {
    return {1, record.tokens_in, record.tokens_out, record.tokens_cached, record.cost.value_or(0)};
}

// Writes down what is to be done, then does it. Gives whether a sum is saturated.
inline bool count(Header& header, const Record& record, std::int64_t at, const Target& target) noexcept {
    slot::Redo& redo = header.redo;
    bool saturated = false;
    redo.row = target.row.number;
    redo.key = target.key.number;
    redo.last_used = std::max(at, slot::keys_of(header)[target.key.number].last_used);
    if (target.row.number != kNone) {
        Sums sums = slot::rows_of(header)[target.row.number].sums;
        saturated = add_to(sums, sums_of(record));
        redo.sums = sums;
    }
    slot::publish(redo.armed, header.sequence + 1);
    slot::apply(header);
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
    if (number >= header.live(header.row_count)) return false;
    const RowName& name = slot::rows_of(header)[number].name;
    return name.key() == key && name.minute == minute && (name.what & 3) == flags_of(record) &&
           is_label(header, slot::kEndpoint, name.endpoint(), record.endpoint) &&
           is_label(header, slot::kModel, name.model(), record.model);
}

// Finds the row, or makes it, and its key, if that is missing.
[[gnu::noinline]] UsageSlot::Addition find_or_make_row(Header& header, const Record& record, std::int64_t minute,
                                                       Target& target) noexcept {
    UsageSlot::Addition addition;
    const std::uint64_t key = target.key.number != kNone ? target.key.number : header.live(header.key_count);
    const std::uint64_t endpoint = find_or_add_label(header, slot::kEndpoint, record.endpoint, addition.other);
    const std::uint64_t model = find_or_add_label(header, slot::kModel, record.model, addition.other);
    const RowName name{key << 32 | endpoint << 17 | model << 2 | flags_of(record), minute};
    target.row = find_row(header, name);
    if (target.row.number == kNone) addition.added = make(header, record, name, target);
    if (addition.added == UsageSlot::Added::counted)
        slot::keys_of(header)[target.key.number].last_row = target.row.number;
    return addition;
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

std::uint32_t slot::arena_used(Header& header) noexcept {
    const std::uint32_t keys = header.live(header.key_count);
    if (keys == 0) return 0;
    const Key& last = keys_of(header)[keys - 1];
    return last.text + last.key_id + last.user;
}

std::uint32_t slot::longest_line(std::string_view key_id) noexcept {
    return escaped_bytes(key_id) + static_cast<std::uint32_t>(kKeyLine);
}

std::uint32_t slot::longest_line(Header& header, const RowName& name, std::string_view key_id,
                                 std::string_view user) noexcept {
    return escaped_bytes(user) + escaped_bytes(key_id) + escaped_bytes(endpoint_of(header, name)) +
           escaped_bytes(model_of(header, name)) + static_cast<std::uint32_t>(kRowLine);
}

void slot::make_labels(Header& header) noexcept {
    for (const Kind kind : {kEndpoint, kModel}) {
        labels_of(header, kind).write(kNoLabel, 0, {});
        header.label_count[kind] = 1;
        bool other = false;
        (void)find_or_add_label(header, kind, {kOtherLabel, usage::hash_of(kOtherLabel)}, other);
    }
}

UsageSlot::Addition UsageSlot::add(const Record& record) noexcept {
    Header& header = *header_;
    Addition addition;
    const std::int64_t at = std::max<std::int64_t>(record.at, 0);
    Target target{find_key(header, record), {kNone, 0}};
    if (record.only_last_used) {
        if (target.key.number == kNone) addition.added = make(header, record, {}, target);
    } else {
        const auto minute = static_cast<std::int64_t>(static_cast<std::uint64_t>(at) / 60'000);
        const std::uint32_t key = target.key.number;
        if (key != kNone) target.row.number = slot::keys_of(header)[key].last_row;
        if (key == kNone || !is_same_row(header, key, target.row.number, record, minute))
            addition = find_or_make_row(header, record, minute, target);
    }
    if (addition.added == Added::counted) addition.saturated = count(header, record, at, target);
    return addition;
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
