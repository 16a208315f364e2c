#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/redis_link.hpp"

#include <algorithm>

#include "ngx_module/clock.hpp"
#include "ngx_module/worker.hpp"

namespace apikey::ngx {

namespace {

// The wait until `at`, for a timer.
ngx_msec_t until(redis::Millis at) {
    return static_cast<ngx_msec_t>(std::max<redis::Millis>(at - turn_began(), 1));
}

redis::LookupSession::Options session_options(const RedisConf& conf, std::string prefix, std::string worker) {
    redis::LookupSession::Options options;
    options.prefix = std::move(prefix);
    options.worker = std::move(worker);
    options.user = conf.url.user;
    options.password = conf.password;
    options.database = conf.url.database;
    options.timeout = static_cast<redis::Millis>(conf.timeout);
    return options;
}

}  // namespace

RedisLink::RedisLink(const RedisConf& conf, std::string prefix, std::string worker, Counters& counters)
    : counters_(counters),
      session_(session_options(conf, std::move(prefix), std::move(worker))),
      socket_(conf, *this),
      deadline_timer_(*this, &RedisLink::on_time, "lookup timeout"),
      attention_timer_(*this, &RedisLink::on_time, "Redis heartbeat") {}

// --- the connection --------------------------------------------------------------------------------------------

void RedisLink::on_up() {
    was_proven_ = false;
    session_.set_password(socket_.password());
    session_.connected(turn_began());
}

void RedisLink::on_down(RedisSocket::Retry retry, const std::string& why) {
    attention_timer_.cancel();
    ++counters_.link_failures;
    counters_.gauges.link_up = 0;
    for (Listener* listener : listeners_)
        listener->on_link_down();
    if (retry == RedisSocket::Retry::at_once) {
        session_.disconnected();  // what was not sent yet waits for the new connection
    } else {
        session_.fail_all();
    }
    faults_.report(
        NGX_LOG_ERR, FaultLog::Kind::link,
        "Redis at " + socket_.place() + " cannot be used: " + why + "; keys that must be looked up are answered 503");
    report_notices();
    deliver();
}

std::string_view RedisLink::output() {
    return session_.output(turn_began());
}

bool RedisLink::take(std::string_view bytes) {
    return session_.feed(bytes, turn_began());
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
    count_confirmed();
    report_notices();
    for (Listener* listener : listeners_)
        listener->on_link_read();
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
    report_refusals(notice);
}

void RedisLink::report_refusals(const redis::LookupSession::Notice& notice) {
    counters_.confirmations_refused += notice.refused_confirmations;
    counters_.usage_batches_refused += notice.refused_shipments;
    if (notice.refused_shipments != 0) {
        faults_.report(
            NGX_LOG_ERR, FaultLog::Kind::usage,
            "Redis at " + socket_.place() + " refuses usage (" + notice.refusal + "); it is kept and sent again");
    }
    if (notice.refused_registrations != 0) {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::registration,
                       "Redis at " + socket_.place() + " refuses to register this worker (" + notice.refusal +
                           "); cached keys are looked up before they are used");
    } else if (notice.refused_confirmations != 0) {
        faults_.report(NGX_LOG_ERR, FaultLog::Kind::registration,
                       "Redis at " + socket_.place() + " refuses this worker's confirmations (" + notice.refusal +
                           "); changes take effect, but apikeyd does not learn of it");
    }
}

// --- invalidation ----------------------------------------------------------------------------------------------

void RedisLink::renew_registration() {
    session_.renew_registration(turn_began());
    socket_.flush_soon();
}

void RedisLink::end_registration() {
    session_.end_registration(turn_began());
    socket_.flush_soon();
}

bool RedisLink::confirm(redis::Receipt receipt, std::int64_t heard_at) {
    if (!session_.confirm(receipt, heard_at, turn_began())) return false;
    socket_.flush_soon();
    return true;
}

void RedisLink::count_confirmed() {
    confirmed_.clear();
    session_.take_confirmed(confirmed_);
    counters_.confirmations += confirmed_.size();
    for (const std::int64_t heard_at : confirmed_)
        counters_.confirmation_time.add(now_us() - heard_at);
}

// --- usage -----------------------------------------------------------------------------------------------------

bool RedisLink::ship(const UsageEntry& entry, std::uint64_t cookie) {
    if (!session_.ship(entry, cookie, turn_began())) return false;
    socket_.flush_soon();
    return true;
}

void RedisLink::ask_usage_state() {
    session_.ask_usage_state(turn_began());
    socket_.flush_soon();
}

// --- time ------------------------------------------------------------------------------------------------------

void RedisLink::arm_timers() {
    deadline_timer_.hold_worker(session_.waiting() != 0);
    if (session_.waiting() != 0 && !deadline_timer_.is_set()) deadline_timer_.set(until(session_.next_deadline()));
    if (socket_.state() == RedisSocket::State::up) attention_timer_.set_at_most(until(session_.next_heartbeat()));
}

void RedisLink::on_time() {
    if (!session_.tick(turn_began())) return socket_.fail(session_.why());
    socket_.flush();  // there may be a heartbeat to send
    arm_timers();
    deliver();
}

// --- requests --------------------------------------------------------------------------------------------------

RedisLink::Lookup* RedisLink::ask(const Digest& digest, Flight* flight) {
    if (socket_.state() == RedisSocket::State::down) return nullptr;
    Lookup* lookup = session_.ask(digest, flight, turn_began());
    if (lookup == nullptr) return nullptr;
    arm_timers();
    socket_.flush_soon();
    return lookup;
}

void RedisLink::deliver() {
    if (!delivering_.empty()) return;  // an outer call is at it
    for (session_.take_done(delivering_); !delivering_.empty(); session_.take_done(delivering_)) {
        for (Lookup* lookup : delivering_) {
            if (lookup->asker != nullptr && serving_)
                this_worker()->lookups.answered(*static_cast<Flight*>(lookup->asker), *lookup);
            session_.release(lookup);
        }
        delivering_.clear();
    }
    deadline_timer_.hold_worker(session_.waiting() != 0);
}

}  // namespace apikey::ngx
