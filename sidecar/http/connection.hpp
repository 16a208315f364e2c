// What one connection's thread does: one request after the other, until there is a reason to end.
#pragma once

#include <functional>

#include "sidecar/http/exchange.hpp"
#include "sidecar/http/limits.hpp"
#include "sidecar/http/timed_stream.hpp"

namespace apikey::http {

// Answers, or throws. What it throws ends the request, never more: it is answered by 500 where that can still be.
using Handler = std::function<void(Exchange&)>;

struct ConnectionRules {
    const Handler& handle;
    const Limits& limits;
    const EventFd& stop;  // no further request is taken
    // Called between requests, and when a header has come whole; false: the connection is to end.
    std::function<bool()> waits;
    std::function<bool()> works;
};

// Returns when the connection is to be closed. Throws nothing.
void serve(TimedStream& stream, const ConnectionRules& rules) noexcept;

// Calls `handle` behind the last fence (hazards S14, S15), and sees that the request has an answer, or breaks off. False: it broke off.
bool answer_request(Exchange& exchange, TimedStream& stream, const Handler& handle, const Limits& limits) noexcept;

}  // namespace apikey::http
