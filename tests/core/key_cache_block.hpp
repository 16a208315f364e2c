// A key cache in memory of the test's own, and keys to put into it.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "core/key_cache.hpp"

namespace apikey::test {

inline constexpr KeyCache::Secret kSecret = {0x243f'6a88'85a3'08d3, 0x1319'8a2e'0370'7344};  // of pi

// Shared with the processes that this one forks.
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
    [[nodiscard]] KeyCache create() const noexcept { return KeyCache::create(memory_, bytes_, kSecret); }

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

}  // namespace apikey::test
