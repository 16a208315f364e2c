// How a request ended that an exception ended.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "sidecar/http/answer.hpp"

namespace apikey {

struct Ending {
    std::string how;                     // for the log
    std::optional<http::Answer> answer;  // for the client, where none has begun; nothing: nobody waits for one
    bool ours = false;                   // a fault of ours, or of the machine: not of the client, nor of Postgres
};

Ending ending_of(const std::exception_ptr& error);

}  // namespace apikey
