// This worker's connection for lookups: core's LookupSession on a RedisSocket, and the requests that wait for it.
//
// While Redis cannot be reached, requests are refused at once; while it is being connected to, they wait for it.
// Everything asked in one turn of the event loop leaves in one write.
#pragma once

#include <string>
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

    // Copies what it needs of the configuration; `counters` outlive it. Throws std::bad_alloc.
    RedisLink(const RedisConf& conf, std::string prefix, Counters& counters);
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
    void report_notices();

    Counters& counters_;
    redis::LookupSession session_;
    FaultLog faults_;
    bool was_proven_ = false;  // this connection has served
    std::vector<Lookup*> delivering_;
    RedisSocket socket_;
    WorkerEvent<RedisLink> deadline_timer_;   // keeps a stopping worker alive while requests wait
    WorkerEvent<RedisLink> attention_timer_;  // heartbeat, silence
};

}  // namespace apikey::ngx
