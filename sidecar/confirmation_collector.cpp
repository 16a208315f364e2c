#include "sidecar/confirmation_collector.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>

#include "sidecar/keys/key_row.hpp"
#include "sidecar/weather.hpp"

namespace apikey {

ConfirmationCollector::ConfirmationCollector(RedisTarget target, const redis::Names& names, Parts parts)
    : target_(std::move(target)), names_(names), parts_(std::move(parts)) {
    target_.timeout = kConnectTimeout;
    subscriber_.emplace(target_, names_.applied);
    look_after_members();
}

void ConfirmationCollector::distrust_members() {
    confirmations_.hold();
    distrusting_ = true;
    members_complete_ = false;
    trust_from_ = Clock::now() + Confirmations::kRegistration;
}

void ConfirmationCollector::members_complete() {
    members_complete_ = true;
}

int ConfirmationCollector::descriptor() {
    return subscriber_ ? subscriber_->descriptor() : -1;
}

ConfirmationCollector::Clock::time_point ConfirmationCollector::next_event() const {
    auto next = subscriber_ ? subscriber_->next_event() : next_connect_;
    if (distrusting_ && members_complete_) next = std::min(next, trust_from_);
    return std::min({next, confirmations_.next_event(), log_.next_line()});
}

bool ConfirmationCollector::take() {
    const auto now = Clock::now();
    if (subscriber_) {
        try {
            subscriber_->take([&](std::string_view message) {
                const auto confirmation = redis::parse_confirmation(message);
                if (confirmation) confirmations_.confirmed(confirmation->worker, confirmation->receipt, now);
            });
        } catch (const RedisError& error) {
            parts_.quiet.warn("the workers' confirmations cannot be heard: " + std::string(error.what()));
            subscriber_.reset();
            next_connect_ = now;
        }
    }
    return confirmations_.has_done(now);
}

void ConfirmationCollector::subscribe() {
    next_connect_ = Clock::now() + kReconnectEvery;
    try {
        subscriber_.emplace(target_, names_.applied);
    } catch (const RedisError& error) {
        parts_.quiet.warn("the workers' confirmations cannot be heard: " + std::string(error.what()));
        return;
    }
    if (confirmations_.is_waiting()) parts_.announce_any();
}

void ConfirmationCollector::work() {
    take();
    if (!subscriber_ && Clock::now() >= next_connect_) subscribe();
    if (distrusting_ && members_complete_ && Clock::now() >= trust_from_) {
        distrusting_ = false;
        if (!confirmations_.release(parts_.writer.read_workers(0))) parts_.announce_any();
    }
    if (confirmations_.next_event() <= Clock::now() && confirmations_.is_waiting()) {
        confirmations_.read(parts_.writer.read_workers(0));
    }
    tell();
    log_outcomes(Clock::now());
}

void ConfirmationCollector::look_after_members() {
    const Membership workers = parts_.writer.read_workers(redis_now_);
    redis_now_ = workers.redis_now;
    if (workers.was_broken) {
        parts_.quiet.error(names_.workers + " was no sorted set; it is made anew");
        distrust_members();
        members_complete();
    }
    confirmations_.read(workers);
}

void ConfirmationCollector::tell() {
    std::vector<std::string> payloads;
    for (const Done& done : confirmations_.take_done(Clock::now()))
        payloads.push_back(format_done(done));
    if (payloads.empty()) return;
    parts_.postgres.query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload",
                          {kDoneChannel, array_literal(payloads)});
}

void ConfirmationCollector::log_outcomes(Clock::time_point now) {
    for (const Confirmations::Outcome& outcome : confirmations_.take_outcomes(now)) {
        if (outcome.confirmed < outcome.expected) {
            parts_.quiet.warn("changes are not confirmed", describe_late(outcome));
        } else {
            log_.add(outcome);
        }
    }
    if (const auto line = log_.take_line(now)) spdlog::info("{}", *line);
}

}  // namespace apikey
