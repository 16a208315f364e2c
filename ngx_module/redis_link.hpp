// This worker's one connection to Redis: nginx's events and timers around core's LookupSession.
//
//   down ──connect──▶ connecting ──▶ up ──▶ (fault) ──▶ down
//
// While the link is down after a failed attempt, requests are refused at once; while it connects, they wait for it. A
// connection that had worked and breaks is made anew at once. Everything asked in one turn of the event loop leaves in
// one write.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/redis/backoff.hpp"
#include "core/redis/lookup_session.hpp"
#include "ngx_module/conf.hpp"
#include "ngx_module/fault_log.hpp"

namespace apikey::ngx {

class RedisLink {
  public:
    using Lookup = redis::LookupSession::Lookup;

    // Copies what it needs of the configuration. Throws std::bad_alloc.
    RedisLink(const RedisConf& conf, std::string prefix);
    // Closes the connection; requests that still wait are not resumed (the worker ends).
    ~RedisLink();
    RedisLink(const RedisLink&) = delete;
    RedisLink& operator=(const RedisLink&) = delete;

    // Begins to connect.
    void start();

    // Asks for a key; resume() of park.hpp brings the answer, never before this returns. `ctx` is a RequestCtx. Null:
    // Redis cannot be asked now.
    Lookup* ask(const Digest& digest, void* ctx);
    // The request is gone. A stopping worker need not wait for its answer.
    void abandon(Lookup* lookup) noexcept {
        session_.abandon(lookup);
        deadline_timer_.cancelable = session_.waiting() == 0;
    }

  private:
    enum class State : std::uint8_t { down, connecting, up };

    // An event whose data leads back to the link. nginx' debug log reads a connection's fd through data, hence the
    // connection-shaped anchor.
    template <void (RedisLink::*handler)()>
    static void on_event(ngx_event_t* event) noexcept;

    void connect();
    void came_up();
    void on_connection_read();
    void on_connection_write();
    void on_connect_timeout();
    void on_deadline();
    void on_attention();
    void flush();
    void fail(const std::string& why);
    void close_connection() noexcept;
    void deliver();
    void arm_timers();
    void arm(ngx_event_t& timer, redis::Millis at);
    void report_notices();
    void refresh_password();
    [[nodiscard]] const Address& address() const { return addresses_[next_address_ % addresses_.size()]; }

    const std::string place_;  // for logs
    const std::vector<Address> addresses_;
    const std::string password_file_;
    const std::string configured_password_;
    const ngx_msec_t connect_timeout_;

    redis::LookupSession session_;
    redis::Backoff backoff_;
    FaultLog faults_;
    State state_ = State::down;
    std::size_t next_address_ = 0;
    bool was_proven_ = false;  // this connection has served
    ngx_msec_t came_up_at_ = 0;

    ngx_connection_t* connection_ = nullptr;
    ngx_log_t quiet_log_{};  // nginx' own lines about this connection: we write better ones, less often
    ngx_connection_t anchor_{};
    ngx_event_t connect_timer_{};    // the attempt under way; cancelable, as all but the next
    ngx_event_t deadline_timer_{};   // keeps a stopping worker alive while requests wait
    ngx_event_t attention_timer_{};  // reconnect, heartbeat, silence
    ngx_event_t flush_event_{};      // posted: at the end of this turn of the event loop
    std::vector<Lookup*> delivering_;
};

// The link of this worker, made by start_worker(); null in processes that serve no requests and where api_key is nowhere on.
RedisLink* worker_link() noexcept;
void start_worker(ngx_cycle_t* cycle);
void stop_worker() noexcept;

}  // namespace apikey::ngx
