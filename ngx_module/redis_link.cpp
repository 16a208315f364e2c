#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/redis_link.hpp"

#include <algorithm>

#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

redis::Millis now() {
    return static_cast<redis::Millis>(ngx_current_msec);
}

// The wait until `at`, for a timer.
ngx_msec_t until(redis::Millis at) {
    return static_cast<ngx_msec_t>(std::max<redis::Millis>(at - now(), 1));
}

redis::LookupSession::Options session_options(const RedisConf& conf, std::string prefix) {
    redis::LookupSession::Options options;
    options.prefix = std::move(prefix);
    options.user = conf.url.user;
    options.password = conf.password;
    options.database = conf.url.database;
    options.timeout = static_cast<redis::Millis>(conf.timeout);
    return options;
}

}  // namespace

RedisLink::RedisLink(const RedisConf& conf, std::string prefix, Counters& counters)
    : counters_(counters),
      session_(session_options(conf, std::move(prefix))),
      socket_(conf, *this),
      deadline_timer_(*this, &RedisLink::on_time, "lookup timeout"),
      attention_timer_(*this, &RedisLink::on_time, "Redis heartbeat") {}

// --- the connection --------------------------------------------------------------------------------------------

void RedisLink::on_up() {
    was_proven_ = false;
    session_.set_password(socket_.password());
    session_.connected(now());
}

void RedisLink::on_down(RedisSocket::Retry retry, const std::string& why) {
    attention_timer_.cancel();
    ++counters_.link_failures;
    counters_.gauges.link_up = 0;
    if (retry == RedisSocket::Retry::at_once) {
        session_.disconnected();  // what was not sent yet waits for the new connection
    } else {
        session_.fail_all();
    }
    if (retry != RedisSocket::Retry::never) {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::link,
                       "Redis at " + socket_.place() + " cannot be used: " + why +
                           "; keys that must be looked up are answered 503");
        report_notices();
    }
    deliver();
}

std::string_view RedisLink::output() {
    return session_.output(now());
}

bool RedisLink::take(std::string_view bytes) {
    return session_.feed(bytes, now());
}

void RedisLink::on_read() {
    if (session_.is_proven() && !was_proven_) {
        was_proven_ = true;
        counters_.gauges.link_up = 1;
        socket_.worked();
        if (faults_.ended(FaultLog::Kind::link)) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "api_key: Redis at %s is in use again",
                          socket_.place().c_str());
        }
    }
    report_notices();
    socket_.flush();  // lookups that waited for the handshake, or are to be repeated
    deliver();
}

void RedisLink::report_notices() {
    const auto notice = session_.take_notice();
    counters_.corrupt_keys += notice.corrupt_keys;
    counters_.pairing_mismatches += notice.pairing_mismatches;
    counters_.untrusted_batches += notice.untrusted_batches;
    if (notice.corrupt_keys != 0) {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::corrupt_key,
                       "Redis at " + socket_.place() +
                           " holds a key record that apikeyd would not write; it is answered 503; "
                           "run apikeyctl sync");
    }
    if (notice.pairing_mismatches != 0) {
        faults_.report(
            NGX_LOG_ERR, FaultLog::Kind::mismatch,
            "Redis at " + socket_.place() + " answered another question than was asked; the connection is made anew");
    }
    if (notice.untrusted_batches != 0) {
        faults_.report(NGX_LOG_WARN, FaultLog::Kind::untrusted,
                       "Redis at " + socket_.place() +
                           " has not been filled by apikeyd since it started or was flushed; keys "
                           "are answered 503 until it is; is apikeyd running?");
    }
}

// --- time ------------------------------------------------------------------------------------------------------

void RedisLink::arm_timers() {
    deadline_timer_.hold_worker(session_.waiting() != 0);
    if (session_.waiting() != 0 && !deadline_timer_.is_set()) deadline_timer_.set(until(session_.next_deadline()));
    if (socket_.state() == RedisSocket::State::up) attention_timer_.set_at_most(until(session_.next_heartbeat()));
}

void RedisLink::on_time() {
    if (!session_.tick(now())) return socket_.fail(session_.why());
    socket_.flush();  // there may be a heartbeat to send
    arm_timers();
    deliver();
}

// --- requests --------------------------------------------------------------------------------------------------

RedisLink::Lookup* RedisLink::ask(const Digest& digest, Flight* flight) {
    if (socket_.state() == RedisSocket::State::down) return nullptr;
    Lookup* lookup = session_.ask(digest, flight, now());
    if (lookup == nullptr) return nullptr;
    arm_timers();
    socket_.flush_soon();
    return lookup;
}

void RedisLink::deliver() {
    if (!delivering_.empty()) return;  // an outer call is at it
    for (session_.take_done(delivering_); !delivering_.empty(); session_.take_done(delivering_)) {
        for (Lookup* lookup : delivering_) {
            if (lookup->asker != nullptr)
                this_worker()->lookups.answered(*static_cast<Flight*>(lookup->asker), *lookup);
            session_.release(lookup);
        }
        delivering_.clear();
    }
    deadline_timer_.hold_worker(session_.waiting() != 0);
}

}  // namespace apikey::ngx
