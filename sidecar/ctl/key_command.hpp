// A connection to a database of the right schema, and what is done with keys over it.
#pragma once

#include <chrono>

#include "sidecar/ctl/arguments.hpp"
#include "sidecar/keys/confirmation.hpp"
#include "sidecar/keys/key_store.hpp"
#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

struct KeyCommand {
    // Connects and listens for what apikeyd will say about `receipt`. Throws Refusal, PostgresError, SchemaMismatch.
    explicit KeyCommand(const Arguments& arguments);

    // After a change was committed: waits at most this long for it to be in force.
    Confirmation wait(std::chrono::milliseconds most = kWaitForChange) { return listener.wait(receipt, most); }

    Settings settings;
    Postgres postgres;
    DoneListener listener;
    KeyStore store;
    Receipt receipt = new_receipt();
};

}  // namespace apikey
