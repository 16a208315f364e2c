// For a call that nothing can interrupt, as getaddrinfo() and whatever looks a name up: runs it in a thread of its own, which
// is left to itself when its caller does not wait any longer. What it gives then is destroyed by the thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "sidecar/event_fd.hpp"

namespace apikey {

// Threads of in_own_thread() whose calls have not ended.
inline std::atomic<int> own_threads = 0;

// For the end of main(): where such threads are left, ends the process here with `status`, since what libraries clean up at
// exit() would be destroyed under them.
inline void exit_beside_own_threads(int status) {
    if (own_threads == 0) return;
    std::fflush(nullptr);
    std::_Exit(status);
}

// What `call` gives; nothing when it takes longer than `most`, or `stop` (null: none) is set. Throws what `call` throws, and
// std::system_error when there is no thread or descriptor left. `call` owns what it uses.
template <class Value>
std::optional<Value> in_own_thread(std::function<Value()> call, std::chrono::milliseconds most, const EventFd* stop) {
    struct Shared {
        std::promise<Value> value;
        EventFd done;
    };
    const auto shared = std::make_shared<Shared>();
    auto value = shared->value.get_future();
    std::shared_ptr<void> counted((++own_threads, nullptr), [](void*) { --own_threads; });
    std::thread([shared, call = std::move(call), counted = std::move(counted)]() mutable {
        try {
            shared->value.set_value(call());
        } catch (...) {
            shared->value.set_exception(std::current_exception());
        }
        call = nullptr;
        counted.reset();
        shared->done.set();
    }).detach();
    constexpr int kNone = -1;
    wait_readable({shared->done.fd(), stop != nullptr ? stop->fd() : kNone}, most);
    if (!shared->done.is_set()) return std::nullopt;
    return value.get();
}

}  // namespace apikey
