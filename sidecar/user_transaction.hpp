// Transactions in a key holder's name: role apikey_user and the claims that row-level security goes by, both only until the
// transaction ends. Every statement in them names the user as well; row-level security stands behind that.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "sidecar/postgres.hpp"

namespace apikey {

// For the rest of the transaction that `postgres` is in. Throws PostgresError, and the transaction is over, when `user` is no text
// that Postgres takes (UTF-8 without NUL).
void become_user(Postgres& postgres, const std::string& user);

// What Postgres prepares for.
enum class Reading : std::uint8_t {
    rows,  // all of them, in an index's order, straight to the client: nothing is gathered in memory or on disk
    sums,  // of many rows: groups are kept in memory
};

// A transaction that only reads, sees one state of the database, and acts for one user, whose name its statements find as
// current_setting('apikey.user').
class UserSnapshot {
  public:
    // `longest`: of each statement, also while nobody takes its rows.
    UserSnapshot(Postgres& postgres, const std::string& user, std::chrono::seconds longest,
                 Reading reading = Reading::rows);
    // Ends with ROLLBACK unless end() was called. What the server still works on is cancelled: then, as after any other error,
    // the connection must be thrown away.
    ~UserSnapshot();
    UserSnapshot(const UserSnapshot&) = delete;
    UserSnapshot& operator=(const UserSnapshot&) = delete;

    // A value for statements that take no parameters: current_setting('apikey.<name>').
    void set(const std::string& name, const std::string& value);
    // The time of this state, as Postgres writes it in UTC. Of a standby how far it had come just before: all that was committed until
    // then is there. Only of one for Reading::rows.
    std::string time();
    void end();

  private:
    void roll_back() noexcept;

    Postgres& postgres_;
    Postgres::Parameter replayed_;  // nothing: it is no standby
    bool open_ = true;
};

}  // namespace apikey
