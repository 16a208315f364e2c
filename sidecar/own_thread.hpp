// For a call that nothing can interrupt, as getaddrinfo() and whatever looks a name up: runs it in a thread of its own, which
// is left to itself when its caller does not wait any longer. What it gives then is destroyed by the thread.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "sidecar/event_fd.hpp"

namespace apikey {

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
    std::thread([shared, call = std::move(call)] {
        try {
            shared->value.set_value(call());
        } catch (...) {
            shared->value.set_exception(std::current_exception());
        }
        shared->done.set();
    }).detach();
    constexpr int kNone = -1;
    wait_readable({shared->done.fd(), stop != nullptr ? stop->fd() : kNone}, most);
    if (!shared->done.is_set()) return std::nullopt;
    return value.get();
}

}  // namespace apikey
