#include "core/usage/shipment.hpp"

#include <algorithm>

namespace apikey::usage {

std::optional<std::uint64_t> Shipment::next(std::uint64_t end) {
    const std::uint64_t known = first_ + entries_.size();
    while (next_ < known && entry(next_).state != State::waiting)
        ++next_;
    if (next_ >= end) return std::nullopt;
    return next_;
}

void Shipment::sent(std::uint64_t number) {
    if (number == first_ + entries_.size()) entries_.emplace_back();
    entry(number).state = State::sent;
    ++under_way_;
}

void Shipment::answered(std::uint64_t number, bool taken, redis::Millis now) {
    if (number < first_) return;  // it found its way into the spool meanwhile
    --under_way_;
    entry(number) = {taken ? State::taken : State::waiting, now};
    if (!taken) next_ = std::min(next_, number);
}

template <class Which>
std::uint64_t Shipment::send_again(Which which) {
    std::uint64_t count = 0;
    for (Entry& each : entries_) {
        if (each.state == State::waiting || !which(each.state)) continue;
        each.state = State::waiting;
        ++count;
    }
    next_ = first_;
    return count;
}

std::uint64_t Shipment::disconnected() {
    under_way_ = 0;
    return send_again([](State) { return true; });
}

std::uint64_t Shipment::lost() {
    return send_again([](State state) { return state == State::taken; });
}

template <class Is>
std::uint64_t Shipment::first_that(Is is) const {
    return first_ + static_cast<std::uint64_t>(std::find_if(entries_.begin(), entries_.end(), is) - entries_.begin());
}

std::uint64_t Shipment::settled(redis::Millis heard) const {
    return first_that([&](const Entry& each) { return each.state != State::taken || heard - each.taken_at < kSettle; });
}

std::uint64_t Shipment::taken() const {
    return first_that([](const Entry& each) { return each.state != State::taken; });
}

void Shipment::freed(std::uint64_t end) {
    for (; first_ < end; ++first_) {
        if (entries_.empty()) continue;
        if (entries_.front().state == State::sent) --under_way_;
        entries_.pop_front();
    }
    next_ = std::max(next_, first_);
}

bool Shipment::all_taken(std::uint64_t end) const {
    return first_ + entries_.size() >= end &&
           std::all_of(entries_.begin(), entries_.end(), [](const Entry& each) { return each.state == State::taken; });
}

}  // namespace apikey::usage
