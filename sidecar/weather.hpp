// What can happen to a link at any time, as exceptions: whoever holds a half-done piece of work when Postgres
// or Redis goes away must drop all of it, and unwinding does exactly that. They are caught in one place per
// thread (KeySync::run, LeaderLease::run) or program (apikeyctl's main), which waits and begins anew.
// Messages are for operators; they never hold a key, a hash or a password.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace apikey {

// Postgres cannot be reached, or refused a statement.
class PostgresError : public std::runtime_error {
  public:
    explicit PostgresError(const std::string& message, std::string sqlstate = {})
        : std::runtime_error(message), sqlstate_(std::move(sqlstate)) {}

    // Five characters, or empty when the server did not answer.
    [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }

  private:
    std::string sqlstate_;
};

// Redis cannot be reached, or refused a command.
class RedisError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Another apikeyd leads now, or Redis forgot who does: nothing more may be written.
class LeadershipLost : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The database has another schema than this program: no waiting helps.
class SchemaMismatch : public std::runtime_error {
  public:
    // what() is both, `what_is_wrong; advice`.
    SchemaMismatch(const std::string& what_is_wrong, std::string advice)
        : std::runtime_error(what_is_wrong + "; " + advice), wrong_(what_is_wrong), advice_(std::move(advice)) {}

    [[nodiscard]] const std::string& what_is_wrong() const noexcept { return wrong_; }
    [[nodiscard]] const std::string& advice() const noexcept { return advice_; }

  private:
    std::string wrong_;
    std::string advice_;
};

// Whoever asked for it does not wait for the answer any longer.
class PeerGone : public std::exception {
  public:
    [[nodiscard]] const char* what() const noexcept override { return "the client has gone"; }
};

// The process is asked to end.
class Stopped : public std::exception {};

}  // namespace apikey
