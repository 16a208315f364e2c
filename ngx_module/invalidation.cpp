#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/invalidation.hpp"

#include <algorithm>
#include <functional>

namespace apikey::ngx {

namespace {

constexpr std::size_t kKeysPerLock = 16;  // others wait for the mutex, or give up
constexpr redis::Millis kLeastWait = 1;

redis::SubscriptionSession::Options session_options(const RedisConf& conf, const std::string& prefix) {
    redis::SubscriptionSession::Options options;
    options.prefix = prefix;
    options.user = conf.url.user;
    options.password = conf.password;
    return options;
}

}  // namespace

Invalidation::Invalidation(const RedisConf& conf, const std::string& prefix, RedisLink& link, KeyZone& zone)
    : link_(link),
      zone_(zone),
      session_(session_options(conf, prefix)),
      socket_(conf, *this),
      timer_(*this, &Invalidation::on_time, "subscription") {
    link_.add_listener(*this);
}

Invalidation::~Invalidation() {
    link_.remove_listener(*this);
}

// --- the connection --------------------------------------------------------------------------------------------

void Invalidation::on_up() {
    session_.set_password(socket_.password());
    session_.connected(turn_began());
}

void Invalidation::came_up() {
    is_up_ = true;
    watch_.subscribed(std::max(session_.subscribed_since(), redis_since_));
    next_registration_ = 0;
    zone_.counters().gauges.subscription_up = 1;
    socket_.worked();
    if (faults_.ended(FaultLog::Kind::subscription)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "api_key: the subscription to changes at %s is up again",
                      socket_.place().c_str());
    }
}

void Invalidation::on_down(RedisSocket::Retry /*retry*/, const std::string& why) {
    session_.disconnected();
    watch_.unsubscribed();
    if (std::exchange(is_up_, false)) link_.end_registration();
    ++zone_.counters().subscription_failures;
    zone_.counters().gauges.subscription_up = zone_.counters().gauges.watching = 0;
    if (farewell_ping_ != 0 || ngx_exiting) return socket_.close();
    // Where lookups fail, too, the link has said so.
    if (link_.run_id().empty()) return;
    faults_.report(NGX_LOG_ERR, FaultLog::Kind::subscription,
                   "the subscription to changes at " + socket_.place() + " is down: " + why +
                       "; cached keys are looked up before they are used");
}

bool Invalidation::take(std::string_view bytes) {
    const bool ok = session_.feed(bytes, now_ms_at_most());
    const std::int64_t heard_at = now_us();
    Counters& counters = zone_.counters();
    std::array<Digest, kKeysPerLock> keys;
    std::size_t count = 0;
    changes_.clear();
    session_.take_changes(changes_);
    for (const redis::Change& change : changes_) {
        ++(change.key ? counters.changes : counters.changes_of_all);
        if (!intake_.take(change, heard_at) || !change.key) continue;
        keys[count++] = *change.key;
        if (count == keys.size()) zone_.forget({keys.data(), std::exchange(count, 0)});
    }
    zone_.forget({keys.data(), count});
    if (const std::uint64_t malformed = session_.take_malformed()) {
        counters.changes_malformed += malformed;
        faults_.report(NGX_LOG_WARN, FaultLog::Kind::malformed_change,
                       "somebody publishes at " + socket_.place() + " as a change what is none; it is ignored");
    }
    return ok;
}

void Invalidation::on_read() {
    if (session_.subscribed() && !is_up_) came_up();
    settle();
    intake_.begin_turn();
    on_time();  // the first PING, for example
}

// --- the zone --------------------------------------------------------------------------------------------------

// Draws the conclusions from what was heard. As long as a change waits to be applied there are none: the answer to a PING
// says that everything before it is.
void Invalidation::settle() {
    if (intake_.flush_pending() && turn_began() >= intake_.flush_at()) {
        zone_.forget_all();
        intake_.flushed(turn_began());
    }
    if (!intake_.flush_pending()) {
        renew_lease();
        confirm();
    }
    zone_.counters().gauges.watching = turn_began() < watch_.lease_until() ? 1 : 0;
}

void Invalidation::renew_lease() {
    if (!is_up_ || !same_redis() || !is_adopted_) return;
    watch_.answered(session_.answered());
    if (session_.answered().number != claimed_ping_) tell_zone();
}

// Another time, where the mutex is taken.
void Invalidation::tell_zone() {
    const KeyZone::Lock lock = zone_.lock_briefly();
    if (!lock) return;
    watch_.trusts_since(zone_.coverage().add(watch_.claim()));
    claimed_ping_ = session_.answered().number;
}

// --- what Redis is told ----------------------------------------------------------------------------------------

void Invalidation::confirm() {
    for (const auto* heard = intake_.to_confirm(); heard != nullptr; heard = intake_.to_confirm()) {
        if (!link_.confirm(heard->receipt, heard->at)) break;  // there will be another turn
        intake_.confirmed();
    }
    zone_.counters().confirmations_refused += intake_.take_lost();
}

void Invalidation::register_worker() {
    if (!may_register() || turn_began() < next_registration_) return;
    next_registration_ = turn_began() + redis::kPingEvery;
    link_.renew_registration();
}

// Before anything else of a new connection for lookups: answers are kept only once that is done.
void Invalidation::adopt_redis() {
    const KeyZone::Lock lock = zone_.lock_briefly();
    if (!lock) return;  // at the next read
    redis_ = std::hash<std::string_view>{}(link_.run_id()) | 1U;
    redis_since_ = zone_.coverage().connected(redis_, now_ms_at_most());
    is_adopted_ = true;
    watch_.trusts_since(std::max(watch_.trusted_since(), redis_since_));
}

void Invalidation::on_link_read() {
    if (link_.run_id().empty()) return;
    if (!is_adopted_) adopt_redis();
    if (!is_up_) return;
    if (!same_redis()) return socket_.fail("it is another Redis than the one that keys are looked up in");
    register_worker();
    confirm();
    const auto sent = link_.take_registration();
    if (!sent) return;
    watch_.registered(*sent, session_.last_ping());
    if (turn_began() < watch_.lease_until()) return;
    session_.ping(turn_began());  // there is no lease, and it begins with a PING that follows
    socket_.flush_soon();
}

void Invalidation::on_link_down() {
    is_adopted_ = false;
    watch_.unregistered();
    next_registration_ = 0;
}

// --- time ------------------------------------------------------------------------------------------------------

void Invalidation::on_time() {
    if (ngx_exiting && farewell_ping_ == 0 && is_up_) {
        session_.ping(turn_began());
        farewell_ping_ = session_.last_ping();
    }
    if (!session_.tick(turn_began())) return socket_.fail(session_.why());
    register_worker();
    settle();
    if (farewell_ping_ != 0 && session_.answered().number >= farewell_ping_) return leave();
    socket_.flush();
    arm_timer();
}

void Invalidation::arm_timer() {
    const bool is_connected = socket_.state() == RedisSocket::State::up;
    if (!is_connected && !intake_.flush_pending()) return;
    redis::Millis next = turn_began() + redis::kPingEvery;
    if (is_connected) next = std::min(next, session_.next_tick());
    if (may_register()) next = std::min(next, std::max(next_registration_, turn_began() + kLeastWait));
    if (intake_.flush_pending()) next = std::min(next, intake_.flush_at());
    timer_.set_at_most(static_cast<ngx_msec_t>(std::max(next - turn_began(), kLeastWait)));
}

// --- the end ---------------------------------------------------------------------------------------------------

// Members of apikey:workers are waited for: the lease ends first.
void Invalidation::leave() {
    watch_.unsubscribed();
    link_.end_registration();
    is_up_ = false;
    zone_.counters().gauges.subscription_up = zone_.counters().gauges.watching = 0;
    session_.disconnected();
    socket_.close();
}

void Invalidation::stop() {
    if (!is_up_) return;
    ngx_time_update();
    session_.ping(turn_began());
    farewell_ping_ = session_.last_ping();
    link_.end_registration();
    link_.flush();
    socket_.flush();
    const ngx_msec_t give_up = ngx_current_msec + kFarewell;
    while (is_up_ && session_.answered().number < farewell_ping_ && ngx_current_msec < give_up) {
        if (!socket_.wait_for_bytes(give_up - ngx_current_msec)) break;
        ngx_time_update();
    }
    if (intake_.flush_pending()) zone_.forget_all();
    link_.flush();  // what was confirmed meanwhile
}

}  // namespace apikey::ngx
