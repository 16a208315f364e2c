// What main() of our programs has in common.
#pragma once

#include <cstdio>
#include <exception>

#include "sidecar/own_thread.hpp"

namespace apikey {

// The status that `run` gives; 1 where it throws, with what on stderr, after the program's name. Ends the process where threads
// hang that exit() would take things from.
inline int run_main(const char* program, int (*run)(int, char**), int argc, char** argv) {
    int status = 1;
    try {
        status = run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", program, error.what());
    }
    exit_beside_own_threads(status);
    return status;
}

}  // namespace apikey
