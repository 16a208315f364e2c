// A worker's subscription: it hears of every change of a key, or knows that it may have missed one. Without sockets or
// clocks.
//
// On a new connection it sends AUTH, INFO (run_id) and SUBSCRIBE apikey:changed in one go, then a PING at once and every
// kPingEvery. Redis puts what it publishes and what it answers into one stream, in the order in which it happened: with
// the answer to a PING, everything that was published before that PING was sent has been heard.
//
// Each PING carries a number, which its answer repeats. A PING that is not answered within kLease fails the connection, and
// so does whatever cannot be explained; the owner closes it, says disconnected() and starts again with connected(). A
// message that is none of ours (change.hpp) is counted: anybody may publish.
//
// Time is in milliseconds of any clock that does not go back. Not thread-safe: one per worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/redis/change.hpp"
#include "core/redis/millis.hpp"
#include "core/redis/names.hpp"
#include "core/redis/reply_reader.hpp"

namespace apikey::redis {

class SubscriptionSession {
  public:
    struct Options {
        std::string prefix{kDefaultPrefix};  // of every Redis name
        std::string user;                    // ACL user, empty: the default user
        std::string password;                // empty: no AUTH
    };
    struct Ping {
        std::uint64_t number = 0;  // counted from 1, over all connections; 0: none
        Millis sent = 0;
    };

    explicit SubscriptionSession(Options options);

    // For a connection that is about to be made: the password may have changed in its file.
    void set_password(std::string password) { options_.password = std::move(password); }

    // The transport is up: queues the handshake.
    void connected(Millis now);
    // The transport is gone: nothing is heard any more.
    void disconnected() noexcept { stage_ = Stage::closed; }

    // The bytes to write; valid until the next call of anything but written().
    [[nodiscard]] std::string_view output() const noexcept { return std::string_view(output_).substr(written_); }
    void written(std::size_t count);
    // Takes what was read. `now`: not before it was. False: close the connection; why() says why. Call take_changes()
    // after each call.
    [[nodiscard]] bool feed(std::string_view bytes, Millis now);
    // Lets time pass: queues the PING that is due. `now`: not after the moment of the call. False: close the connection.
    [[nodiscard]] bool tick(Millis now);
    // Queues a PING that is not due yet, unless many are unanswered. `now` as for tick(). Only when subscribed.
    void ping(Millis now);
    // When to call tick() next.
    [[nodiscard]] Millis next_tick() const noexcept;

    // Everything that is published is heard, from subscribed_since() on.
    [[nodiscard]] bool subscribed() const noexcept { return stage_ == Stage::subscribed; }
    [[nodiscard]] Millis subscribed_since() const noexcept { return since_; }
    // Of the Redis that is subscribed to; empty before it is.
    [[nodiscard]] std::string_view run_id() const noexcept { return subscribed() ? run_id_ : std::string_view{}; }
    // The last PING queued, and the last one answered on this connection: whatever was published before its `sent` has
    // been given to take_changes().
    [[nodiscard]] std::uint64_t last_ping() const noexcept { return last_ping_; }
    [[nodiscard]] const Ping& answered() const noexcept { return answered_; }

    // Swaps the changes that were heard since the last call, in their order, into `changes`, which must be empty.
    void take_changes(std::vector<Change>& changes) noexcept { changes.swap(changes_); }
    // How many messages since the last call were no changes.
    std::uint64_t take_malformed() noexcept { return std::exchange(malformed_, 0); }

    [[nodiscard]] const std::string& why() const noexcept { return why_; }

  private:
    // What the next reply answers; in `subscribed`, a PING or nothing.
    enum class Stage : std::uint8_t { closed, auth, server_info, subscribe, subscribed };

    [[nodiscard]] bool take(const ReplyView& reply, Millis now);
    [[nodiscard]] bool take_error(std::string_view text);
    [[nodiscard]] bool take_push(const ReplyView& reply);
    void take_message(const ReplyView& reply);
    [[nodiscard]] bool take_pong(const ReplyView& reply);
    [[nodiscard]] bool fail(std::string why);

    Options options_;
    const std::string channel_;
    ReplyReader reader_;
    std::string output_;
    std::size_t written_ = 0;
    Stage stage_ = Stage::closed;
    Millis began_ = 0;  // the handshake
    Millis since_ = 0;
    Millis next_ping_ = 0;
    std::string run_id_;
    std::uint64_t last_ping_ = 0;
    Ping answered_;
    std::vector<Ping> unanswered_;  // in their order
    std::vector<Change> changes_;
    std::uint64_t malformed_ = 0;
    std::string why_;
};

}  // namespace apikey::redis
