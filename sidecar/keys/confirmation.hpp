// Whether a change of a key is in force: what apikeyd's leader says of it (DESIGN §4.5).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "sidecar/notice.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

// How far a change has come. `done` is nothing when no apikeyd answered in time.
struct Confirmation {
    std::optional<Done> done;
    std::int64_t milliseconds = 0;  // from the commit

    // Every worker that must confirm has.
    [[nodiscard]] bool in_force() const noexcept { return done && done->confirmed >= done->expected; }
};

// How long whoever makes a change waits for it to be in force (DESIGN §3.3).
inline constexpr std::chrono::seconds kWaitForChange{2};

// Hears when a change is in force. Make it before the change, so that the answer cannot come too early.
class DoneListener {
  public:
    // `postgres` must outlive it, and is in no transaction.
    explicit DoneListener(Postgres& postgres);

    // After the change was committed: the answer to `receipt`, or nothing when none came within `most`. Throws PostgresError, and what
    // ends a wait of `postgres`.
    Confirmation wait(Receipt receipt, std::chrono::milliseconds most);
    // Hears no more: the connection may serve something else.
    void end();

  private:
    std::optional<Done> answer_to(Receipt receipt, std::chrono::milliseconds most);

    Postgres& postgres_;
};

}  // namespace apikey
