// A worker's conversation with Redis: key lookups in, verdict material out, without sockets or clocks.
//
// On a new connection it sends AUTH, SELECT, INFO (run_id and role) and GET epoch in one go. Lookups are collected and
// leave in batches, one per output(), each of the form
//
//   batch := [check] HMGET* check       the first only where the last epoch seen proves nothing
//   check := [INFO] GET epoch           INFO once per heartbeat: is it still a master?
//
// The answers of a batch are held back until the epoch at its end has come: only then is it known whether they may be
// believed (trust.hpp), and a slip anywhere in between fails them all. An idle connection sends a check as its heartbeat.
//
// A reply that found something names its key (`hash`). One that found nothing does not, so every lookup also asks for
// 0 to 3 fields that no key has, in turn: the length of the reply tells its place, and a reply that was repeated, lost
// or put elsewhere is noticed there, too. (Where something between Redis and us exchanges replies of two batches, a
// multiple of four lookups apart, a key that is there is called unknown, once, before the other reply ends the
// connection. Nobody gets another's identity by it.)
//
// Between batches go the worker's part in invalidation (change.hpp): confirmations, and its registration
//
//   registration := [ZADD workers] TIME      the first only once it is known what time it is for Redis
//
// and what its keys were used for (usage/batch_text.hpp)
//
//   shipment := XADD usage
//   state    := XLEN usage, XLEN usage:dead, XPENDING usage
//
// What Redis refuses of these is weather: counted, and no fault of the lookups. Where Redis falls silent while it owes an
// answer to one that writes (CLIENT PAUSE WRITE), all of them pause for a while, so that the lookups on the next
// connection work.
//
// A lookup whose asker has gone (abandon()) or whose time is up stays in its place until its reply has come, so that the
// replies behind it keep their owners. Whatever cannot be explained fails the connection: the owner closes it and says
// disconnected(), which fails every lookup that was sent, and starts again with connected(). Nothing is resynchronised.
//
// Time is in milliseconds of any clock that does not go back. Not thread-safe: one per worker.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/digest.hpp"
#include "core/key_facts.hpp"
#include "core/redis/change.hpp"
#include "core/redis/millis.hpp"
#include "core/redis/names.hpp"
#include "core/redis/pipeline.hpp"
#include "core/redis/trust.hpp"

namespace apikey::redis {

class LookupSession {
  public:
    struct Options {
        std::string prefix{kDefaultPrefix};  // of every Redis name
        std::string user;                    // ACL user, empty: the default user
        std::string password;                // empty: no AUTH
        int database = 0;
        std::string worker;               // whose registration and confirmations these are (worker_name())
        Millis timeout = 250;             // from ask() to giving up
        Millis heartbeat = 1000;          // how often it is asked for its role, and when idle for a sign of life
        std::size_t most_waiting = 8192;  // lookups at once; each holds about 1 KiB
    };

    enum class Outcome : std::uint8_t { found, unknown, unavailable };

    // One question. The session owns the memory; the asker may touch it from ask() until it has
    // called release(), which it does once it has been handed the answer by take_done().
    struct Lookup {
        Digest digest{};
        void* asker = nullptr;  // null: the asker has left
        Outcome outcome = Outcome::unavailable;
        bool reached = false;  // when unavailable: Redis did answer, but not so that it can be believed
        KeyFacts facts;        // when found

        // Given to the connection: what its answer says may be older than what is asked from now on.
        [[nodiscard]] bool is_sent() const noexcept { return sent; }

      private:
        friend class LookupSession;
        Millis deadline = 0;
        FactsStatus status = FactsStatus::mismatch;  // of the reply, until its batch is settled
        std::uint8_t place = 0;                      // how many marks its reply ends with
        bool owned = false;                          // by the asker's side, until release() or an early abandon()
        bool in_line = false;                        // queued_, sent_ or held_ have it
        bool finished = false;                       // has its outcome
        bool sent = false;                           // sent_ or held_ have it
        bool repeated = false;                       // was asked again because the epoch changed under it
    };

    // How long registration, confirmations and usage pause after the first silence that they may have caused.
    static constexpr Millis kFirstHoldOff = 1000;
    // Bytes of usage that may be unanswered at once.
    static constexpr std::size_t kMostShipping = std::size_t{256} * 1024;

    // What is worth a line in the log; counted, so that the owner can rate-limit it.
    struct Notice {
        std::uint64_t corrupt_keys = 0;  // hashes that hold something else than the contract says
        std::uint64_t pairing_mismatches = 0;
        std::uint64_t untrusted_batches = 0;  // answers thrown away because of the epoch
        std::uint64_t refused_registrations = 0;
        std::uint64_t refused_confirmations = 0;
        std::uint64_t refused_shipments = 0;
        std::string refusal;  // Redis' word for the last of these three: OOM, NOPERM, …
    };

    // The texts of one entry of the stream apikey:usage (usage/batch_text.hpp).
    struct UsageEntry {
        std::string_view batch;
        std::string_view sealed;
        std::string_view keys;
        std::string_view rows;
    };
    // What became of a shipment: whether Redis has it. It has not what it refused (OOM, READONLY, NOPERM, WRONGTYPE, …), and
    // what it took before the usage_generation() of now.
    struct Shipped {
        std::uint64_t cookie = 0;
        bool taken = false;

        bool operator==(const Shipped&) const = default;
    };
    // How much usage waits in Redis; what Redis refuses to say reads as nothing.
    struct UsageState {
        std::uint64_t entries = 0;  // in the stream
        std::uint64_t dead = 0;     // refused by Postgres
        // When the first that apikeyd was handed and has not applied was made, Redis' unix ms.
        std::optional<std::int64_t> oldest_pending;

        bool operator==(const UsageState&) const = default;
    };

    explicit LookupSession(Options options);

    // For a connection that is about to be made: the password may have changed in its file.
    void set_password(std::string password) { options_.password = std::move(password); }

    // --- the connection's life ---

    // The transport is up: queues the handshake. Lookups asked for meanwhile follow it.
    void connected(Millis now);
    // The transport is gone: fails what was sent. What was not yet written goes to the next connection, if that comes
    // before its time is up.
    void disconnected();
    // The last epoch seen on this connection names this Redis.
    [[nodiscard]] bool is_proven() const noexcept { return trust_.proven(); }

    // --- asking ---

    // Asks for the key whose SHA-256 is `digest`. Null when too many wait already: answer "unavailable".
    Lookup* ask(const Digest& digest, void* asker, Millis now);
    // The asker is gone: no answer will be delivered for this lookup, and it must not be touched any more.
    void abandon(Lookup* lookup) noexcept;
    // Fails every lookup that still waits (the worker is stopping).
    void fail_all();
    // The same where the connection goes on: their replies come to nobody.
    void fail_waiting();
    // Swaps the lookups that are finished since the last call into `done`, which must be empty. An asker may ask or
    // abandon while the owner walks through them: skip those whose asker is null, release() every one.
    void take_done(std::vector<Lookup*>& done) noexcept { done.swap(done_); }
    void release(Lookup* lookup) noexcept;
    // Lookups whose askers still wait.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
    // When the first of them runs out of time (then call tick()); 0 when nobody waits. Looks at all of them.
    [[nodiscard]] Millis next_deadline() const noexcept;

    // --- the worker's part in invalidation ---

    // The Redis that answers; empty before the handshake is over.
    [[nodiscard]] std::string_view run_id() const noexcept { return ready_ ? trust_.run_id() : std::string_view{}; }
    // Makes the worker a member of apikey:workers until kRegistration from `now`, which must not be after the call. Does
    // nothing while the last one is unanswered, and before the handshake is over.
    void renew_registration(Millis now);
    // The worker watches no more: it is no member, and a registration that is under way will not count.
    void end_registration(Millis now);
    // When the last registration that Redis acknowledged since the last call was sent.
    std::optional<Millis> take_registration() noexcept { return std::exchange(registered_, std::nullopt); }
    // Says that the change with this receipt is applied. take_confirmed() gives `heard_at` back (any number) once Redis
    // has told it. False: not now, because there is no connection or too many are unanswered.
    bool confirm(Receipt receipt, std::int64_t heard_at, Millis now);
    // Swaps what Redis has told since the last call into `confirmed`, which must be empty.
    void take_confirmed(std::vector<std::int64_t>& confirmed) noexcept { confirmed.swap(confirmed_); }

    // --- usage ---

    // Appends the entry to the stream; its texts are copied. take_shipped() gives `cookie` back (any number) with what came
    // of it, unless the connection is lost before. False: not now, because there is no connection, kMostShipping bytes are
    // unanswered (one entry always goes, however long), or a silence is waited out.
    bool ship(const UsageEntry& entry, std::uint64_t cookie, Millis now);
    // Swaps what Redis has answered since the last call into `shipped`, which must be empty; in the order of ship().
    void take_shipped(std::vector<Shipped>& shipped) noexcept { shipped.swap(shipped_); }
    // Another number whenever what was taken before may be gone from Redis: with each connection that is made or lost, and
    // when the epoch is seen to be another one than before (FLUSHALL, a new pass), or to have come or gone. While the epoch
    // is absent (is_proven() tells), a second FLUSHALL does not show.
    [[nodiscard]] std::uint64_t usage_generation() const noexcept { return usage_generation_; }
    // When Redis last answered anything on this connection; it has then done all that it was told before that command.
    // 0: not yet.
    [[nodiscard]] Millis last_heard() const noexcept { return heard_; }
    // Asks how much usage waits; take_usage_state() has the answer once it has come. Does nothing while the last question
    // is unanswered, where there is no connection, and while a silence is waited out.
    void ask_usage_state(Millis now);
    std::optional<UsageState> take_usage_state() noexcept { return std::exchange(usage_state_, std::nullopt); }

    // --- bytes and time ---

    // Ends the batch and gives the bytes to write; valid until the next call of anything but written().
    std::string_view output(Millis now);
    void written(std::size_t count) { pipeline_.written(count); }
    // Takes what was read. False: close the connection; why() says why, without keys, hashes or passwords.
    [[nodiscard]] bool feed(std::string_view bytes, Millis now);
    // Lets time pass: finishes lookups whose time is up, queues the heartbeat. False: close the connection.
    [[nodiscard]] bool tick(Millis now);
    // When the connection itself needs a tick(): to send the heartbeat, or to notice that Redis is silent.
    [[nodiscard]] Millis next_heartbeat() const noexcept;

    [[nodiscard]] const std::string& why() const noexcept { return why_; }
    // Counts since the last call.
    Notice take_notice() noexcept { return std::exchange(notice_, {}); }

  private:
    enum class Expect : std::uint8_t {
        auth,
        select,
        server_info,
        role_info,
        epoch,
        lookup,
        registration,
        redis_time,
        deregistration,
        confirmation,
        shipment,
        usage_length,
        dead_length,
        pending_usage
    };
    struct Registration {
        Millis sent = 0;
        bool under_way = false;  // TIME is not answered yet
        bool taken = false;      // ZADD was sent, and is answered
        bool ended = false;      // by end_registration()
    };
    struct Shipment {
        std::uint64_t cookie;
        std::size_t bytes;
    };
    // Of an entry of a stream: milliseconds and a number.
    using EntryId = std::pair<std::uint64_t, std::uint64_t>;

    void send(Expect what, std::initializer_list<std::string_view> arguments);
    void send_check(Millis now);
    void send_check_if_due(Millis now);
    void begin_to_owe(Millis now);
    void send_lookup(Lookup* lookup);
    [[nodiscard]] bool take_answers(Millis now);
    [[nodiscard]] bool take_answer(const Pipeline::Answer& answer, Millis now);
    [[nodiscard]] bool take_error(Expect what, std::string_view text);
    [[nodiscard]] bool take_server_info(const ReplyView& reply);
    [[nodiscard]] bool take_role(const ReplyView& reply);
    [[nodiscard]] bool take_epoch(const ReplyView& reply, Millis now);
    [[nodiscard]] bool take_facts(const ReplyView& reply);
    [[nodiscard]] bool take_invalidation(Expect what, const ReplyView& reply, Millis now);
    [[nodiscard]] bool take_time(const ReplyView& reply, Millis now);
    [[nodiscard]] bool take_refusal(Expect what, std::string_view text);
    void forget_invalidation();
    [[nodiscard]] bool take_usage(Expect what, const ReplyView& reply);
    [[nodiscard]] bool take_shipment(const ReplyView& reply);
    [[nodiscard]] bool take_length(const ReplyView& reply, std::uint64_t* length);
    [[nodiscard]] bool take_pending(const ReplyView& reply);
    static std::optional<EntryId> entry_id(const ReplyView& reply) noexcept;
    void forget_usage();
    void look_at_usage_epoch(std::string_view epoch);
    void hold_off_if_blamed(Millis now);
    void settle(Lookup* lookup, Trust::Interval interval, Millis now);
    void expire(Millis now);
    void finish(Lookup* lookup, Outcome outcome);
    void leave_line(Lookup* lookup) noexcept;
    template <class Line>
    void drop(Line& line);
    template <class Visit>
    void for_all_in_line(const Visit& visit) const;
    void give_back(Lookup* lookup) noexcept;
    [[nodiscard]] bool fail(std::string why);
    Lookup* next_free();

    Options options_;
    std::string epoch_key_;
    std::string workers_key_;
    std::string applied_channel_;
    std::string usage_key_;
    std::string usage_dead_key_;
    std::string key_name_;  // scratch: prefix + "k:" + 64 hex
    std::size_t key_stem_;
    Pipeline pipeline_;
    Trust trust_;
    bool connected_ = false;
    bool ready_ = false;     // the handshake told the run_id, and that it is a master
    Millis progress_ = 0;    // when Redis last answered, or began to owe an answer
    Millis role_asked_ = 0;  // when it was last asked for its role
    Millis checked_ = 0;     // when the last check was sent
    std::uint8_t next_place_ = 0;
    std::string why_;
    Notice notice_;

    Registration registration_;
    Millis hold_off_until_ = 0;  // after a silence that these commands may have caused
    Millis hold_off_;
    std::optional<Millis> clock_offset_;  // Redis' clock less ours, at most; of this connection
    std::optional<Millis> registered_;
    std::deque<std::int64_t> unconfirmed_;  // told, not answered; in their order
    std::vector<std::int64_t> confirmed_;

    std::deque<Shipment> shipping_;  // told, not answered; in their order
    std::size_t shipping_bytes_ = 0;
    std::vector<Shipped> shipped_;
    std::optional<EntryId> last_entry_;     // that Redis made on this connection
    std::optional<std::string> epoch_was_;  // when it was last looked at, on this connection
    std::uint64_t usage_generation_ = 0;
    Millis heard_ = 0;
    std::optional<UsageState> usage_asked_;  // what is known of the answer so far
    std::optional<UsageState> usage_state_;

    std::deque<Lookup> storage_;  // stable addresses
    std::vector<Lookup*> free_;
    std::deque<Lookup*> queued_;  // asked, not yet given to the pipeline
    std::deque<Lookup*> sent_;    // given to the pipeline, in the order of their replies
    std::vector<Lookup*> held_;   // replied to, waiting for the epoch at the end of their batch
    std::vector<Lookup*> done_;
    std::size_t waiting_ = 0;
};

}  // namespace apikey::redis
