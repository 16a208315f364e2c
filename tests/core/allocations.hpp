// Counts allocations, for tests of what must not allocate: operator new of this program, and OpenSSL's.
#pragma once

#include <cstddef>

namespace apikey::test {

// How many allocations there have been so far, in all threads.
std::size_t allocations() noexcept;

// How many allocations `body` makes.
template <class Body>
std::size_t allocations_of(Body&& body) {
    const std::size_t before = allocations();
    body();
    return allocations() - before;
}

}  // namespace apikey::test
