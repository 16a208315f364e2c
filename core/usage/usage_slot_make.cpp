// New rows, keys and labels. Each is written whole behind the last one, and then counted in.
#include <cstring>

#include "core/usage/batch_text.hpp"
#include "core/usage/usage_slot.hpp"
#include "core/usage/usage_slot_tables.hpp"

namespace apikey::usage::slot {

namespace {

std::uint32_t escaped_bytes(std::string_view text) noexcept {
    return static_cast<std::uint32_t>(LineWriter(nullptr, 0).text(text).size());
}

void append_key(Header& header, const KeyUse& use, std::uint32_t entry) noexcept {
    const std::uint32_t count = header.live(header.key_count);
    const std::uint32_t at = arena_used(header);
    char* const text = header.text(header.arena.at + at);
    if (const std::size_t bytes = text_bytes(use); bytes != 0) std::memcpy(text, use.texts, bytes);
    Key key{};
    key.hash = use.key_hash;
    key.last_used = kNever;
    key.last_row = kNone;
    key.text = at;
    key.key_id = use.key_id_bytes;
    key.user = use.user_bytes;
    keys_of(header).write(count, entry, key);
    header.set_live(header.key_count, count + 1);
}

void append_row(Header& header, const RowName& name, std::uint32_t entry) noexcept {
    const std::uint32_t count = header.live(header.row_count);
    Row row{};
    row.name = name;
    rows_of(header).write(count, entry, row);
    header.set_live(header.row_count, count + 1);
}

}  // namespace

std::uint32_t arena_used(Header& header) noexcept {
    const std::uint32_t keys = header.live(header.key_count);
    if (keys == 0) return 0;
    const Key& last = keys_of(header)[keys - 1];
    return last.text + last.key_id + last.user;
}

std::uint32_t longest_line(std::string_view key_id) noexcept {
    return escaped_bytes(key_id) + static_cast<std::uint32_t>(kKeyLine);
}

std::uint32_t longest_line(Header& header, const RowName& name, std::string_view key_id,
                           std::string_view user) noexcept {
    return escaped_bytes(user) + escaped_bytes(key_id) + escaped_bytes(endpoint_of(header, name)) +
           escaped_bytes(model_of(header, name)) + static_cast<std::uint32_t>(kRowLine);
}

void make_labels(Header& header) noexcept {
    for (const Kind kind : {kEndpoint, kModel}) {
        labels_of(header, kind).write(kNoLabel, 0, {});
        header.label_count[kind] = 1;
        const Label other{kOtherLabel, usage::hash_of(kOtherLabel)};
        // Only the empty label is there yet, in entry 0.
        const auto spot = labels_of(header, kind).find(other.hash, 1, [](const LabelEntry&) noexcept { return false; });
        (void)add_label(header, kind, other, spot.entry);
    }
}

std::uint32_t add_label(Header& header, Kind kind, const Label& label, std::uint32_t entry) noexcept {
    const auto labels = labels_of(header, kind);
    const auto count = static_cast<std::uint32_t>(header.label_count[kind]);
    const std::uint32_t at = labels[count - 1].text + labels[count - 1].bytes;
    const std::size_t bytes = label.text.size();
    if (count == header.labels[kind].capacity || bytes > kMaxLabelBytes || bytes > header.texts[kind].bytes - at)
        return kOther;
    std::memcpy(header.text(header.texts[kind].at + at), label.text.data(), bytes);
    labels.write(count, entry, {label.hash, 0, at, static_cast<std::uint32_t>(bytes), 0});
    publish<std::uint64_t>(header.label_count[kind], count + 1);
    return count;
}

UsageSlot::Added make(Header& header, const KeyUse& use, const RowName* name, Target& target) noexcept {
    const bool new_key = target.key.number == kNone;
    const bool new_row = name != nullptr && target.row.number == kNone;
    const std::size_t text = text_bytes(use);
    if (text > header.most_key_text) return UsageSlot::Added::too_long;
    const std::uint32_t keys = header.live(header.key_count);
    const std::uint32_t rows = header.live(header.row_count);
    if (new_key && (keys == header.keys.capacity || text > header.arena.bytes - arena_used(header)))
        return UsageSlot::Added::full;
    if (new_row && rows == header.rows.capacity) return UsageSlot::Added::full;
    std::uint32_t lines = header.live(header.lines);
    if (new_key) lines += longest_line(use.key_id());
    if (new_row) lines += longest_line(header, *name, use.key_id(), use.user());
    if (lines > header.most_lines) return UsageSlot::Added::full;

    header.set_live(header.lines, lines);
    if (new_key) {
        append_key(header, use, target.key.entry);
        target.key.number = keys;
    }
    if (new_row) {
        append_row(header, *name, target.row.entry);
        target.row.number = rows;
    }
    return UsageSlot::Added::counted;
}

}  // namespace apikey::usage::slot
