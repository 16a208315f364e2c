// Sealing: lines are written into free room of the ring, where nobody looks, and one store makes batches of them.
#include <algorithm>
#include <optional>

#include "core/usage/batch_text.hpp"
#include "core/usage/usage_slot.hpp"
#include "core/usage/usage_slot_tables.hpp"

namespace apikey::usage {

using slot::Header;
using slot::Key;
using slot::Place;
using slot::Row;

namespace {

// Fills the ring's free room with batches that are not published.
class Sealer {
  public:
    Sealer(Header& header, std::int64_t now) noexcept : header_(header), now_(now) { find_room(); }

    // Puts a line into this batch, or into one that it begins. False: there is no room.
    template <class Write>
    bool line(bool is_key, Write write) noexcept {
        for (;;) {
            writer_.move_to(header_.text(header_.ring.at + at_), limit() - at_);
            write(writer_);
            if (writer_.fits()) {
                const auto bytes = static_cast<std::uint32_t>(writer_.size());
                at_ += bytes;
                (is_key ? keys_ : rows_) += bytes;
                return true;
            }
            if (!begin_another()) return false;
        }
    }

    // All batches, with their places written; nothing when there is no room for one of them.
    std::optional<std::uint64_t> end() noexcept {
        if (!close()) return std::nullopt;
        return batches_;
    }

  private:
    // The free room is behind the last batch up to the first, around the ring's end.
    void find_room() noexcept {
        end_ = header_.ring.bytes;
        if (header_.freed == header_.sequence) return;
        const std::uint32_t first = header_.place(header_.freed).offset;
        at_ = begin_ = header_.place(header_.sequence - 1).end();
        if (at_ > first) {
            wrapped_end_ = first;
        } else {
            end_ = first;
        }
    }

    [[nodiscard]] std::uint32_t limit() const noexcept { return std::min(begin_ + header_.most_batch, end_); }

    bool begin_another() noexcept {
        const bool is_empty = at_ == begin_;
        const bool at_end = limit() == end_;
        if (!close()) return false;
        if (!is_empty && !at_end) return true;
        // No line of this length finds room before the end.
        if (wrapped_end_ == 0) return false;
        at_ = begin_ = 0;
        end_ = wrapped_end_;
        wrapped_end_ = 0;
        return true;
    }

    bool close() noexcept {
        if (at_ == begin_) return true;
        const std::uint64_t sequence = header_.sequence + batches_;
        if (sequence - header_.freed == UsageSlot::kPlaces || sequence + 1 >= slot::kSequenceEnd) return false;
        header_.place(sequence) = {begin_, keys_, rows_, 0, now_};
        ++batches_;
        begin_ = at_;
        keys_ = rows_ = 0;
        return true;
    }

    Header& header_;
    std::int64_t now_;
    LineWriter writer_{nullptr, 0};
    std::uint64_t batches_ = 0;          // closed
    std::uint32_t begin_ = 0;            // of this batch
    std::uint32_t at_ = 0;               // its end so far
    std::uint32_t end_ = 0;              // of the room
    std::uint32_t wrapped_end_ = 0;      // of more room at the ring's beginning
    std::uint32_t keys_ = 0, rows_ = 0;  // of this batch
};

void write_key(Header& header, const Key& key, LineWriter& line) noexcept {
    line.text(slot::key_id_of(header, key)).tab().instant(key.last_used).end();
}

void write_row(Header& header, const Row& row, LineWriter& line) noexcept {
    const Key& key = slot::keys_of(header)[row.name.key()];
    const slot::Sums& sums = row.sums;
    line.text(slot::user_of(header, key)).tab().text(slot::key_id_of(header, key)).tab();
    line.minute(row.name.minute).tab();
    line.text(slot::endpoint_of(header, row.name)).tab();
    line.text(slot::model_of(header, row.name)).tab();
    line.word(row.name.success() ? kSuccess : kFailure).tab();
    line.number(sums.requests).tab().number(sums.tokens_in).tab().number(sums.tokens_out).tab();
    line.number(sums.tokens_cached).tab();
    line.cost(row.name.has_cost() ? std::optional(sums.cost) : std::nullopt).end();
}

bool write_all(Header& header, Sealer& sealer) noexcept {
    const auto keys = slot::keys_of(header);
    for (std::uint32_t at = 0; at < header.live(header.key_count); ++at) {
        if (keys[at].last_used == slot::kNever) continue;
        if (!sealer.line(true, [&](LineWriter& line) noexcept { write_key(header, keys[at], line); })) return false;
    }
    const auto rows = slot::rows_of(header);
    for (std::uint32_t at = 0; at < header.live(header.row_count); ++at) {
        if (rows[at].sums.requests == 0) continue;
        if (!sealer.line(false, [&](LineWriter& line) noexcept { write_row(header, rows[at], line); })) return false;
    }
    return true;
}

// No row needs them now. So a flood of labels is over with its batch, and does not make (other) of everybody's for good.
void forget_labels_if_many(Header& header) noexcept {
    for (std::size_t kind = 0; kind < slot::kKinds; ++kind) {
        if (header.label_count[kind] > header.labels[kind].capacity / 2)
            slot::publish<std::uint64_t>(header.label_count[kind], slot::kFixedLabels);
    }
}

}  // namespace

bool UsageSlot::seal(std::int64_t now) noexcept {
    Header& header = *header_;
    Sealer sealer(header, now);
    if (!write_all(header, sealer)) return false;
    const std::optional<std::uint64_t> batches = sealer.end();
    if (!batches || *batches == 0) return batches.has_value();
    // From this store on the batches are there, and the rows that they were made of are not.
    slot::publish(header.sequence, header.sequence + *batches);
    // Not needed before the low half of the sequence comes round.
    header.set_live(header.row_count, 0);
    header.set_live(header.key_count, 0);
    header.set_live(header.lines, 0);
    forget_labels_if_many(header);
    return true;
}

}  // namespace apikey::usage
