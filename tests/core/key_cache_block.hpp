// A key cache in memory of the test's own, and keys to put into it.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/key_cache.hpp"

namespace apikey::test {

inline constexpr KeyCache::Secret kSecret = {0x243f'6a88'85a3'08d3, 0x1319'8a2e'0370'7344};  // of pi

// Zeroed, and shared with the processes that this one forks.
class Block {
  public:
    explicit Block(std::size_t bytes = KeyCache::kMinBytes) : bytes_(bytes) {
        memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) std::abort();
    }
    ~Block() { munmap(memory_, bytes_); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    [[nodiscard]] void* memory() const noexcept { return memory_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] KeyCache create(const KeyCache::Secret& secret = kSecret) const noexcept {
        return KeyCache::create(memory_, bytes_, secret);
    }
    [[nodiscard]] KeyCache attach() const noexcept { return KeyCache::attach(memory_, bytes_); }

    // Takes over every byte of a block of the same size; false when that changed nothing.
    bool take(const Block& other) const noexcept {
        if (std::memcmp(memory_, other.memory_, bytes_) == 0) return false;
        std::memcpy(memory_, other.memory_, bytes_);
        return true;
    }

  private:
    void* memory_;
    std::size_t bytes_;
};

// As good as random, and the same for the same number: what the digests of keys look like.
inline Digest digest_of(std::uint64_t number) {
    const auto* bytes = reinterpret_cast<const char*>(&number);
    return sha256({bytes, sizeof number}).value();
}

// What most keys look like: ids are uuids, a name of 20 bytes, a few scopes.
inline KeyFacts common_facts() {
    return {.id = "0f8b7a1e-3c55-4d8b-9a43-8f2f6f0a9c11",
            .user = "7d1c2b3a-94e2-4f0b-8f41-1d3f7c1a2b5e",
            .name = "production-backend-1",
            .prefix = "ia_0f8b7a1e3",
            .scopes = "usage:read usage:write conversations:read",
            .expires = 1'900'000'000};
}

// Facts that tell of which key and which version they are, and whose lengths differ from version to version: one to three
// ways, sometimes seven.
inline KeyFacts telling_facts(std::uint64_t key, std::int64_t version) {
    const auto number = std::to_string(key) + "." + std::to_string(version);
    const auto filled = [&](const char* what, std::size_t length) {
        std::string text = what + number;
        text.resize(std::max(length, text.size()),
                    static_cast<char>('a' + (key + static_cast<std::uint64_t>(version)) % 26));
        return text;
    };
    const std::uint64_t shape = key * 7 + static_cast<std::uint64_t>(version);
    return {.id = filled("id", 36),
            .user = filled("user", shape % 3 == 0 ? 255 : 36),
            .name = filled("name", shape % 11 == 0  ? 800
                                   : shape % 5 == 0 ? 200
                                                    : 20),
            .prefix = filled("ia_", 12),
            .scopes = filled("scope", shape % 4 == 0 ? 255 : 30),
            .expires = version};
}

}  // namespace apikey::test
