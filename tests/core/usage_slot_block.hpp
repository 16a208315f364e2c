// A usage slot in memory of the test's own, requests to count, and what its batches come to.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/usage/usage_slot.hpp"

namespace apikey::test {

// Of unknown bytes, and shared with the processes that this one forks.
class SlotBlock {
  public:
    explicit SlotBlock(std::size_t bytes = usage::UsageSlot::kFewestBytes) : bytes_(bytes) {
        memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) std::abort();
        std::memset(memory_, 0xa5, bytes);
    }
    ~SlotBlock() { munmap(memory_, bytes_); }
    SlotBlock(const SlotBlock&) = delete;
    SlotBlock& operator=(const SlotBlock&) = delete;

    [[nodiscard]] char* memory() const noexcept { return static_cast<char*>(memory_); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    [[nodiscard]] usage::UsageSlot create(std::uint64_t sequence = 0) const noexcept {
        if (!usage::UsageSlot::create(memory_, bytes_, sequence)) std::abort();
        return usage::UsageSlot(memory_);
    }
    [[nodiscard]] usage::UsageSlot slot() const noexcept { return usage::UsageSlot(memory_); }

    // Takes over every byte of a block of the same size; false when that changed nothing.
    bool take(const SlotBlock& other) const noexcept {
        if (std::memcmp(memory_, other.memory_, bytes_) == 0) return false;
        std::memcpy(memory_, other.memory_, bytes_);
        return true;
    }

    friend void swap(SlotBlock& one, SlotBlock& other) noexcept {
        std::swap(one.memory_, other.memory_);
        std::swap(one.bytes_, other.bytes_);
    }

  private:
    void* memory_;
    std::size_t bytes_;
};

inline usage::Label label(std::string_view text) {
    return {text, usage::hash_of(text)};
}

// A use of this key; its texts are kept for the whole run.
inline void name_key(usage::KeyUse& use, std::string_view key_id, std::string_view user) {
    static std::set<std::string> kept;
    use.texts = kept.insert(std::string(key_id) + std::string(user)).first->c_str();
    use.key_id_bytes = static_cast<std::uint16_t>(key_id.size());
    use.user_bytes = static_cast<std::uint16_t>(user.size());
}

// One success of this key, whose hash follows from its id.
inline usage::Record request_of(std::string_view key_id, std::string_view user = "user", std::int64_t at = 60'000) {
    usage::Record record;
    record.key_hash = usage::hash_of(key_id);
    name_key(record, key_id, user);
    record.at = at;
    record.endpoint = label("endpoint");
    record.model = label("model");
    return record;
}

// What COPY would read: the fields of each line. `\N` stays as it is.
inline std::vector<std::vector<std::string>> read_copy(std::string_view text) {
    static const std::map<char, char> kEscapes = {{'\\', '\\'}, {'t', '\t'}, {'n', '\n'}, {'r', '\r'},
                                                  {'b', '\b'},  {'f', '\f'}, {'v', '\v'}};
    std::vector<std::vector<std::string>> lines;
    std::vector<std::string> line(1);
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char byte = text[at];
        if (byte == '\t') {
            line.emplace_back();
        } else if (byte == '\n') {
            lines.push_back(line);
            line.assign(1, "");
        } else if (byte != '\\') {
            line.back() += byte;
        } else if (text.at(++at) == 'N') {
            line.back() += "\\N";
        } else {
            line.back() += kEscapes.at(text[at]);
        }
    }
    if (line != std::vector<std::string>(1)) std::abort();  // bytes behind the last line
    return lines;
}

// In 10^-12; 0 where none was named.
inline std::uint64_t cost_of(const std::string& text) {
    if (text == "\\N") return 0;
    const std::size_t point = std::min(text.find('.'), text.size());
    std::string fraction = text.substr(std::min(point + 1, text.size()));
    fraction.resize(12, '0');
    return std::stoull(text.substr(0, point) + fraction);
}

// What was counted: rows by their name, and last_used by key id.
struct Ledger {
    struct Sums {
        std::uint64_t requests = 0, in = 0, out = 0, cached = 0;
        std::uint64_t cost = 0;  // in 10^-12
        bool operator==(const Sums&) const = default;
    };
    std::map<std::vector<std::string>, Sums> rows;  // user, key, minute, endpoint, model, status, with or without cost
    std::map<std::string, std::string> last_used;
    bool operator==(const Ledger&) const = default;

    void take(const usage::Batch& batch) {
        for (const std::vector<std::string>& line : read_copy(batch.keys))
            last_used[line.at(0)] = std::max(last_used[line.at(0)], line.at(1));
        for (const std::vector<std::string>& line : read_copy(batch.rows)) {
            if (line.size() != 11) std::abort();
            std::vector<std::string> name(line.begin(), line.begin() + 6);
            name.emplace_back(line[10] == "\\N" ? "no cost" : "cost");
            Sums& sums = rows[name];
            sums.requests += std::stoull(line[6]);
            sums.in += std::stoull(line[7]);
            sums.out += std::stoull(line[8]);
            sums.cached += std::stoull(line[9]);
            sums.cost += cost_of(line[10]);
        }
    }
    void take_all(const usage::UsageSlot& slot) {
        for (std::uint64_t batch = slot.first(); batch < slot.next(); ++batch)
            take(slot.batch(batch));
    }
    [[nodiscard]] std::uint64_t requests() const {
        std::uint64_t sum = 0;
        for (const auto& [name, sums] : rows)
            sum += sums.requests;
        return sum;
    }
};

// Seals and takes everything that is there.
inline Ledger sealed(usage::UsageSlot& slot, std::int64_t now = 0) {
    Ledger ledger;
    if (!slot.seal(now)) std::abort();
    ledger.take_all(slot);
    return ledger;
}

}  // namespace apikey::test
