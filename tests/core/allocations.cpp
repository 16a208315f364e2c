#include "tests/core/allocations.hpp"

#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> count = 0;

void* counted_malloc(std::size_t size, const char*, int) {
    ++count;
    return std::malloc(size);
}
void* counted_realloc(void* block, std::size_t size, const char*, int) {
    ++count;
    return std::realloc(block, size);
}
void plain_free(void* block, const char*, int) {
    std::free(block);
}

// OpenSSL takes other functions only before its first allocation.
const int openssl_is_counted = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, plain_free);

}  // namespace

void* operator new(std::size_t size) {
    ++count;
    if (void* const block = std::malloc(size)) return block;
    throw std::bad_alloc();
}
void operator delete(void* block) noexcept {
    std::free(block);
}
void operator delete(void* block, std::size_t) noexcept {
    std::free(block);
}

namespace apikey::test {

std::size_t allocations() noexcept {
    if (openssl_is_counted != 1) std::abort();
    return count;
}

}  // namespace apikey::test
