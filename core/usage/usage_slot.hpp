// What one worker has counted and not yet handed over, on a block of memory that outlives the worker (DESIGN §4.8).
//
//   add()   one request goes into the row of its key, endpoint, model, status and minute; touch() only moves last_used
//   seal()  all rows become the bytes of batches, each with a sequence number of this slot, in a ring; they never change
//   free()  the ring's first batches are in safe hands, and their room is used again
//
// One process writes a slot: its owner. That process may be killed between any two instructions, and whoever takes the
// slot over finds every request counted once or not at all:
//
//   * Rows, keys and the text arena belong to an epoch, the sequence number that the next batch gets. Their counts name the
//     epoch in the same word (Count), so one store of `sequence` publishes the sealed batches and voids what they were
//     made of.
//   * A row or key is written whole behind the last one, and then counted in by one store.
//   * What one request changes is first written down as absolute values (Redo), and then done; recover() does it again.
//   * The ring has no tail: where batch n lies is written in a place of its own (n modulo kPlaces) before it is published.
//
// Owners pass through compare-and-swap of one word, so that two cannot take the same slot. Everything else is of the owner
// alone: no lock, no system call, no allocation, no exception.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace apikey::usage {

inline constexpr std::size_t kMaxLabelBytes = 128;          // of an endpoint or model (labels.hpp makes them so)
inline constexpr std::string_view kOtherLabel = "(other)";  // what finds no room among the labels

// A process: its pid, and when it started, since pids come again. 0: nobody.
using Owner = std::uint64_t;

// A text with its hash, which for the labels of nginx.conf is made when that is read.
struct Label {
    std::string_view text;   // valid UTF-8 without NUL, at most kMaxLabelBytes
    std::uint64_t hash = 0;  // hash_of(text)
};
[[nodiscard]] std::uint64_t hash_of(std::string_view text) noexcept;

// Whose key was used, and when. The texts are copied.
struct KeyUse {
    std::uint64_t key_hash = 0;   // differs with the key, and cannot be chosen by its holder: a part of the digest
    const char* texts = nullptr;  // its id, and right behind it its user: valid UTF-8 without control bytes
    std::uint16_t key_id_bytes = 0;
    std::uint16_t user_bytes = 0;
    std::int64_t at = 0;  // unix milliseconds, not negative: the row's minute, and last_used

    [[nodiscard]] std::string_view key_id() const noexcept { return {texts, key_id_bytes}; }
    [[nodiscard]] std::string_view user() const noexcept { return {texts + key_id_bytes, user_bytes}; }
};

// One request of a key.
struct Record : KeyUse {
    Label endpoint{};
    Label model{};  // empty text: none
    bool success = true;
    std::uint64_t tokens_in = 0;
    std::uint64_t tokens_out = 0;
    std::uint64_t tokens_cached = 0;
    std::optional<std::uint64_t> cost{};  // in 10^-12 of the currency; nothing: none was named, apikeyd prices it
};

// A sealed batch, as it lies in the ring; valid until it is freed.
struct Batch {
    std::uint64_t sequence = 0;
    std::int64_t sealed = 0;  // unix milliseconds
    std::string_view keys;    // batch_text.hpp says what these lines are
    std::string_view rows;
};

namespace slot {
struct Header;
}

class UsageSlot {
  public:
    // Changes with every change of how the memory is laid out.
    static constexpr std::uint32_t kLayout = 2;
    static constexpr std::size_t kFewestBytes = 32 * 1024;
    static constexpr std::size_t kMostBytes = 64 * 1024 * 1024;
    // Batches that wait in the ring, at most.
    static constexpr std::uint64_t kPlaces = 64;

    // Makes an empty slot, nobody's, of memory aligned to 64 bytes; false when it is less than kFewestBytes. The first batch
    // will have the number `sequence`.
    static bool create(void* memory, std::size_t bytes, std::uint64_t sequence = 0) noexcept;
    // Looks at a slot that create() made there.
    explicit UsageSlot(void* memory) noexcept;

    // --- owners: any process ---

    [[nodiscard]] Owner owner() const noexcept;
    // Takes the slot from `from` (0: nobody, or an owner that is dead). False: it is not that owner's any more. Call
    // recover() next.
    bool take(Owner from, Owner me) noexcept;
    // Finishes what the last owner was about. Labels are forgotten where no row uses them.
    void recover() noexcept;
    // Gives the slot to nobody. It may hold rows and batches all the same.
    void release() noexcept;

    // --- counting: the owner ---

    enum class Added : std::uint8_t {
        counted,
        full,      // no room for another row or key before the next seal(): nothing was counted
        too_long,  // no batch of this slot would ever hold its line: nothing was counted
    };
    struct Addition {  // one byte: it comes back in a register
        Added added : 2;
        bool other : 1;      // the endpoint or the model was counted as kOtherLabel
        bool saturated : 1;  // a sum stays at 2^63 - 1

        Addition(Added as, bool as_other = false, bool is_saturated = false) noexcept
            : added(as), other(as_other), saturated(is_saturated) {}
    };
    Addition add(const Record& record) noexcept;
    // Only last_used (api_key_usage off): no row.
    Added touch(const KeyUse& use) noexcept;

    // Ask the processor for what add() and touch() will read, while something else is done: first the key's place in the
    // index, a while later the key, then its texts and its row. Each wants what the one before has fetched; all may be left
    // out. 10,000 keys at random: a request waits for memory 0.1 µs less.
    void prefetch_index(std::uint64_t key_hash) const noexcept;
    void prefetch_key(std::uint64_t key_hash) const noexcept;
    void prefetch_row(std::uint64_t key_hash) const noexcept;

    [[nodiscard]] bool has_rows() const noexcept;  // something that seal() would seal
    // More than three quarters of the room for rows, keys or their texts is used: seal soon, whatever the interval.
    [[nodiscard]] bool is_crowded() const noexcept;

    // --- batches: the owner ---

    // Makes batches of all rows and keys, none larger than most_batch_bytes(). False: the ring has no room for all of
    // them; then nothing has changed.
    bool seal(std::int64_t now) noexcept;
    [[nodiscard]] std::size_t most_batch_bytes() const noexcept;
    // Batches first() <= n < next() are in the ring. Any process may read these two numbers.
    [[nodiscard]] std::uint64_t first() const noexcept;
    [[nodiscard]] std::uint64_t next() const noexcept;
    // first() <= sequence < next().
    [[nodiscard]] Batch batch(std::uint64_t sequence) const noexcept;
    // More than half of the ring's bytes or places are taken: rows had better be merged for longer.
    [[nodiscard]] bool is_backed_up() const noexcept;
    // first() <= end <= next(): batches below `end` are in safe hands.
    void free(std::uint64_t end) noexcept;

    // For tests and for whoever looks at a slot after a crash: does everything in the memory agree? Owner or nobody.
    [[nodiscard]] bool check() const noexcept;

  private:
    slot::Header* header_;
};

}  // namespace apikey::usage
