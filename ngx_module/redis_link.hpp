// This worker's connection for lookups: core's LookupSession on a RedisSocket, and the requests that wait for it.
//
// While Redis cannot be reached, requests are refused at once; while it is being connected to, they wait for it.
// Everything asked in one turn of the event loop leaves in one write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/counters.hpp"
#include "core/digest.hpp"
#include "core/redis/lookup_session.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/fault_log.hpp"
#include "ngx_module/redis_socket.hpp"
#include "ngx_module/worker_event.hpp"

namespace apikey::ngx {

struct Flight;

class RedisLink final : private RedisSocket::Owner {
  public:
    using Lookup = redis::LookupSession::Lookup;

    // Whoever has more to say on the link: keeps this worker registered (invalidation.hpp), ships usage (usage.hpp).
    class Listener {
      public:
        // Something has come on the link; what it was is to be looked at.
        virtual void on_link_read() = 0;
        // The connection is lost, and with it what was under way.
        virtual void on_link_down() = 0;

      protected:
        ~Listener() = default;
    };

    // Copies what it needs of the configuration; `counters` outlive it. `worker`: its name in apikey:workers. Throws
    // std::bad_alloc.
    RedisLink(const RedisConf& conf, std::string prefix, std::string worker, Counters& counters);
    // Destroying it closes the connection; requests that still wait are not resumed (the worker ends).

    // Begins to connect.
    void start() { socket_.connect(); }

    // Asks for a key; Lookups::answered() gets the answer, never before this returns. Null: Redis cannot be asked now.
    Lookup* ask(const Digest& digest, Flight* flight);
    // Is the question on its way? Until then nothing of its answer is older than this moment.
    [[nodiscard]] static bool is_sent(const Lookup& lookup) noexcept { return lookup.is_sent(); }
    // Nobody waits any more. A stopping worker need not wait for its answer.
    void abandon(Lookup* lookup) noexcept {
        session_.abandon(lookup);
        deadline_timer_.hold_worker(session_.waiting() != 0);
    }

    // --- the worker's part in invalidation; see LookupSession ---

    // Who hears of this link; they outlive it, or its last event.
    void add_listener(Listener& listener) { listeners_.push_back(&listener); }
    void remove_listener(Listener& listener) noexcept { std::erase(listeners_, &listener); }
    [[nodiscard]] std::string_view run_id() const noexcept { return session_.run_id(); }
    void renew_registration();
    void end_registration();
    [[nodiscard]] std::optional<redis::Millis> take_registration() noexcept { return session_.take_registration(); }
    // `heard_at`: in microseconds, when the change was heard of.
    [[nodiscard]] bool confirm(redis::Receipt receipt, std::int64_t heard_at);
    // Writes what there is, now. Not within a callback of this link.
    void flush() { socket_.flush(); }

    // --- usage; see LookupSession ---

    using UsageEntry = redis::LookupSession::UsageEntry;
    bool ship(const UsageEntry& entry, std::uint64_t cookie);
    void take_shipped(std::vector<redis::LookupSession::Shipped>& shipped) noexcept { session_.take_shipped(shipped); }
    [[nodiscard]] std::uint64_t usage_generation() const noexcept { return session_.usage_generation(); }
    [[nodiscard]] redis::Millis last_heard() const noexcept { return session_.last_heard(); }
    void ask_usage_state();
    [[nodiscard]] std::optional<redis::LookupSession::UsageState> take_usage_state() noexcept {
        return session_.take_usage_state();
    }
    [[nodiscard]] bool is_up() const noexcept { return socket_.state() == RedisSocket::State::up; }
    // The worker exits: no request is resumed any more.
    void stop_serving() noexcept { serving_ = false; }
    // Something was thrown: the connection is made anew.
    void give_up() noexcept { socket_.on_exception(); }
    // For a worker that exits: see RedisSocket.
    bool wait_for_bytes(ngx_msec_t most) { return socket_.wait_for_bytes(most); }

  private:
    friend class WorkerEvent<RedisLink>;
    void on_up() override;
    std::string_view output() override;
    void written(std::size_t count) override { session_.written(count); }
    void on_flushed() override { arm_timers(); }
    bool take(std::string_view bytes) override;
    [[nodiscard]] std::string why() const override { return session_.why(); }
    void on_read() override;
    void on_down(RedisSocket::Retry retry, const std::string& why) override;

    void on_time();
    void on_exception() noexcept { socket_.on_exception(); }
    void arm_timers();
    void deliver();
    void count_confirmed();
    void report_notices();
    void report_refusals(const redis::LookupSession::Notice& notice);

    Counters& counters_;
    redis::LookupSession session_;
    FaultLog faults_;
    bool serving_ = true;
    bool was_proven_ = false;  // this connection has served
    std::vector<Lookup*> delivering_;
    std::vector<std::int64_t> confirmed_;  // scratch
    std::vector<Listener*> listeners_;
    RedisSocket socket_;
    WorkerEvent<RedisLink> deadline_timer_;   // keeps a stopping worker alive while requests wait
    WorkerEvent<RedisLink> attention_timer_;  // heartbeat, silence
};

}  // namespace apikey::ngx
