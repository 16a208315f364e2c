// When an answer of Redis may be believed (DESIGN §4.4).
//
// Redis holds a copy of Postgres. A restart from an old snapshot brings revoked keys back, FLUSHALL
// makes every key look unknown, a replica may hold another copy. apikeyd therefore writes
//
//   apikey:epoch := run_id SP pass        run_id: 40 hex of this very process; pass: random
//
// once every active key is there, and this class remembers what the connection saw of it:
//
//   before a lookup     after it                   what the lookup said
//   epoch E             the same E, of this run    is believed
//   anything else       another E' of this run     must be asked again: the data was made anew in between
//   anything            no epoch of this run       cannot be known
//
// A key that was *found* is not believed under E' either: the process may have been another's replica for a moment, with
// that one's data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace apikey::redis {

class Trust {
  public:
    // What an epoch reply meant for the lookups between it and the one before.
    enum class Interval : std::uint8_t {
        untrusted,  // nothing can be known
        renewed,    // ask again
        trusted     // what was found and what was not found are both true
    };

    // A new connection to the process `run_id`: nothing is trusted until an epoch names it.
    void connected(std::string_view run_id);
    // The connection is gone, or proved to be confused.
    void lost() noexcept;

    // The next epoch reply on this connection; empty where the key does not exist.
    Interval observe(std::string_view epoch);

    // What the connection was made to; empty without one.
    [[nodiscard]] std::string_view run_id() const noexcept { return run_id_; }
    // The last epoch seen on this connection names this run.
    [[nodiscard]] bool proven() const noexcept { return !epoch_.empty(); }

  private:
    [[nodiscard]] bool names_this_run(std::string_view epoch) const noexcept;

    std::string run_id_;
    std::string epoch_;  // the last one seen, if it names run_id_
};

}  // namespace apikey::redis
