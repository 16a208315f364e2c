#include "core/redis/lookup_session.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/redis/handshake.hpp"

namespace apikey::redis {

namespace {

constexpr std::uint8_t kPlaces = 4;  // lookups in a row whose replies differ in length
// The longest reply to a lookup is seven fields of kMaxFieldBytes: with these limits a connection never holds more than
// 64 KiB, whatever its peer sends (buffers grow by doubling).
constexpr Pipeline::Limits kLimits{.unparsed_bytes = 8192, .reply_bytes = 32768, .reply_nodes = 16};
constexpr std::size_t kSlice = 4096;  // bytes given to the parser at once
constexpr Millis kDeadlineSlack = 5;  // lookups this close to their end are finished together
constexpr const char* kOtherKind = "Redis sent a reply of another kind";
constexpr std::size_t kKeptFieldBytes = 256;  // longer fields are rare: their memory is given back

}  // namespace

LookupSession::LookupSession(Options options)
    : options_(std::move(options)),
      epoch_key_(Names(options_.prefix).epoch),
      workers_key_(Names(options_.prefix).workers),
      applied_channel_(Names(options_.prefix).applied),
      usage_key_(Names(options_.prefix).usage),
      usage_dead_key_(Names(options_.prefix).usage_dead),
      key_name_(Names(options_.prefix).keys),
      key_stem_(key_name_.size()),
      pipeline_(kLimits),
      hold_off_(kFirstHoldOff) {
    key_name_.resize(key_stem_ + kDigestHexChars);
}

// --- the connection's life -------------------------------------------------------------------------------------

void LookupSession::connected(Millis now) {
    pipeline_.reset();
    trust_.lost();
    why_.clear();
    connected_ = true;
    ready_ = false;
    progress_ = role_asked_ = checked_ = now;
    forget_invalidation();
    forget_usage();
    const auto auth = auth_command(options_.user, options_.password);
    if (!auth.empty()) pipeline_.send(static_cast<Pipeline::Tag>(Expect::auth), auth);
    if (options_.database != 0) send(Expect::select, {"SELECT", std::to_string(options_.database)});
    send(Expect::server_info, {"INFO", "server"});
    send(Expect::role_info, {"INFO", "replication"});
    send(Expect::epoch, {"GET", epoch_key_});
}

template <class Line>
void LookupSession::drop(Line& line) {
    for (Lookup* lookup : line) {
        finish(lookup, Outcome::unavailable);
        leave_line(lookup);
    }
    line.clear();
}

void LookupSession::disconnected() {
    connected_ = false;
    ready_ = false;
    trust_.lost();
    pipeline_.reset();
    forget_invalidation();
    forget_usage();
    drop(held_);
    drop(sent_);
}

bool LookupSession::fail(std::string why) {
    why_ = std::move(why);
    connected_ = false;
    return false;
}

void LookupSession::fail_all() {
    disconnected();
    drop(queued_);
}

void LookupSession::fail_waiting() {
    for_all_in_line([this](Lookup* lookup) { finish(lookup, Outcome::unavailable); });
}

// --- asking ----------------------------------------------------------------------------------------------------

LookupSession::Lookup* LookupSession::next_free() {
    if (free_.empty()) {
        // Room first, so that giving back never allocates.
        if (free_.capacity() <= storage_.size()) free_.reserve(2 * storage_.size() + 1);
        free_.push_back(&storage_.emplace_back());
    }
    return free_.back();
}

LookupSession::Lookup* LookupSession::ask(const Digest& digest, void* asker, Millis now) {
    if (storage_.size() - free_.size() >= options_.most_waiting) return nullptr;
    Lookup* lookup = next_free();
    queued_.push_back(lookup);
    free_.pop_back();
    lookup->digest = digest;
    lookup->asker = asker;
    lookup->outcome = Outcome::unavailable;
    lookup->deadline = now + options_.timeout;
    lookup->owned = lookup->in_line = true;
    lookup->finished = lookup->repeated = lookup->sent = lookup->reached = false;
    ++waiting_;
    return lookup;
}

void LookupSession::abandon(Lookup* lookup) noexcept {
    lookup->asker = nullptr;
    if (lookup->finished) return;  // among the done: the owner releases it
    lookup->finished = true;
    --waiting_;
    release(lookup);
}

void LookupSession::release(Lookup* lookup) noexcept {
    lookup->owned = false;
    if (!lookup->in_line) give_back(lookup);
}

void LookupSession::leave_line(Lookup* lookup) noexcept {
    lookup->in_line = false;
    if (!lookup->owned) give_back(lookup);
}

void LookupSession::give_back(Lookup* lookup) noexcept {
    KeyFacts& facts = lookup->facts;
    for (std::string* field : {&facts.id, &facts.user, &facts.name, &facts.prefix, &facts.scopes}) {
        if (field->capacity() > kKeptFieldBytes) std::string().swap(*field);
    }
    free_.push_back(lookup);
}

void LookupSession::finish(Lookup* lookup, Outcome outcome) {
    if (lookup->finished) return;
    lookup->finished = true;
    lookup->outcome = outcome;
    --waiting_;
    done_.push_back(lookup);
}

template <class Visit>
void LookupSession::for_all_in_line(const Visit& visit) const {
    std::for_each(held_.begin(), held_.end(), visit);
    std::for_each(sent_.begin(), sent_.end(), visit);
    std::for_each(queued_.begin(), queued_.end(), visit);
}

Millis LookupSession::next_deadline() const noexcept {
    Millis first = 0;
    const auto look_at = [&](const Lookup* lookup) {
        if (!lookup->finished && (first == 0 || lookup->deadline < first)) first = lookup->deadline;
    };
    for_all_in_line(look_at);  // not only the first: repeated ones are older
    return first;
}

// --- bytes and time --------------------------------------------------------------------------------------------

void LookupSession::send(Expect what, std::initializer_list<std::string_view> arguments) {
    pipeline_.send(static_cast<Pipeline::Tag>(what), arguments);
}

// Redis was owing nothing, and its silence is counted from now on.
void LookupSession::begin_to_owe(Millis now) {
    if (pipeline_.outstanding() == 0) progress_ = now;
}

void LookupSession::send_check(Millis now) {
    checked_ = now;
    if (now - role_asked_ >= options_.heartbeat) {
        role_asked_ = now;
        send(Expect::role_info, {"INFO", "replication"});
    }
    send(Expect::epoch, {"GET", epoch_key_});
}

// Where other commands keep the connection from ever being idle, they bring the heartbeat.
void LookupSession::send_check_if_due(Millis now) {
    if (now - checked_ >= options_.heartbeat) send_check(now);
}

void LookupSession::send_lookup(Lookup* lookup) {
    const DigestHex hex = to_hex(lookup->digest);
    std::memcpy(key_name_.data() + key_stem_, hex.data(), hex.size());
    std::array<std::string_view, 2 + kFactFields.size() + kPlaces> command{"HMGET", key_name_};
    const auto end = std::copy(kFactFields.begin(), kFactFields.end(), command.begin() + 2);
    lookup->place = next_place_;
    next_place_ = static_cast<std::uint8_t>((next_place_ + 1) % kPlaces);
    std::fill_n(end, lookup->place, kMarkField);
    const std::size_t words = 2 + kFactFields.size() + lookup->place;
    pipeline_.send(static_cast<Pipeline::Tag>(Expect::lookup), std::span(command).first(words));
    sent_.push_back(lookup);
    lookup->sent = true;
}

std::string_view LookupSession::output(Millis now) {
    if (ready_ && !queued_.empty()) {
        begin_to_owe(now);
        if (!trust_.proven()) send_check(now);
        for (Lookup* lookup : queued_) {
            if (lookup->finished) {
                leave_line(lookup);
            } else {
                send_lookup(lookup);
            }
        }
        queued_.clear();
        send_check(now);
    }
    return pipeline_.output();
}

bool LookupSession::feed(std::string_view bytes, Millis now) {
    if (!connected_) return false;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kSlice))) {
        pipeline_.feed(bytes.substr(0, kSlice));
        if (!take_answers(now)) return false;
    }
    return true;
}

bool LookupSession::take_answers(Millis now) {
    Pipeline::Answer answer;
    for (;;) {
        switch (pipeline_.next(&answer)) {
            case Pipeline::Next::need_bytes: return true;
            case Pipeline::Next::failed: return fail("Redis sent " + pipeline_.failure());
            case Pipeline::Next::answer:
                progress_ = heard_ = now;
                if (!take_answer(answer, now)) return false;
        }
    }
}

bool LookupSession::take_answer(const Pipeline::Answer& answer, Millis now) {
    const auto what = static_cast<Expect>(answer.tag);
    const ReplyView& reply = answer.reply;
    if (what == Expect::lookup) return take_facts(reply);
    if (what >= Expect::shipment) return take_usage(what, reply);
    if (what > Expect::lookup) return take_invalidation(what, reply, now);
    if (reply.is(ReplyType::error)) return take_error(what, reply.text());
    switch (what) {
        case Expect::auth:
        case Expect::select: return reply.is(ReplyType::status) || fail(kOtherKind);
        case Expect::server_info: return take_server_info(reply);
        case Expect::role_info: return take_role(reply);
        case Expect::epoch: return take_epoch(reply, now);
        default: return fail(kOtherKind);
    }
}

bool LookupSession::take_error(Expect what, std::string_view text) {
    switch (what) {
        case Expect::auth: return fail("Redis refused the user or password: " + plain_words(text));
        case Expect::select: return fail("Redis refused SELECT: " + plain_words(text));
        case Expect::server_info:
        case Expect::role_info: return fail("Redis refused INFO: " + plain_words(text));
        case Expect::epoch: return fail("Redis refused GET of the epoch: " + std::string(error_code(text)));
        default: break;
    }
    return fail("Redis refused HMGET of a key: " + std::string(error_code(text)));
}

bool LookupSession::take_server_info(const ReplyView& reply) {
    const std::string_view run_id = run_id_of(reply);
    if (run_id.empty()) return fail("Redis' INFO names no run_id");
    trust_.connected(run_id);
    return true;
}

bool LookupSession::take_role(const ReplyView& reply) {
    if (!reply.is(ReplyType::string)) return fail(kOtherKind);
    if (info_field(reply.text(), "role") != "master") return fail("Redis is a replica; a master is needed");
    ready_ = true;
    return true;
}

bool LookupSession::take_facts(const ReplyView& reply) {
    if (sent_.empty()) return fail("Redis sent a reply that nobody asked for");
    Lookup* lookup = sent_.front();
    if (reply.is(ReplyType::error)) {
        if (error_code(reply.text()) != "WRONGTYPE") return take_error(Expect::lookup, reply.text());
        lookup->status = FactsStatus::corrupt;
    } else {
        lookup->status = decode_facts(reply, lookup->digest, lookup->facts, lookup->place);
    }
    if (lookup->status == FactsStatus::mismatch) {
        ++notice_.pairing_mismatches;
        return fail("Redis sent a reply that belongs to another question");
    }
    if (lookup->status == FactsStatus::corrupt) ++notice_.corrupt_keys;
    sent_.pop_front();
    held_.push_back(lookup);
    return true;
}

bool LookupSession::take_epoch(const ReplyView& reply, Millis now) {
    if (!reply.is(ReplyType::string) && !reply.is(ReplyType::nil)) {
        return fail(kOtherKind);
    }
    const Trust::Interval interval = trust_.observe(reply.text());
    look_at_usage_epoch(reply.text());
    if (interval == Trust::Interval::untrusted && !held_.empty()) ++notice_.untrusted_batches;
    for (Lookup* lookup : held_)
        settle(lookup, interval, now);
    held_.clear();
    return true;
}

void LookupSession::settle(Lookup* lookup, Trust::Interval interval, Millis now) {
    if (interval == Trust::Interval::renewed && !lookup->repeated && !lookup->finished && now < lookup->deadline) {
        lookup->repeated = true;
        lookup->sent = false;
        queued_.push_back(lookup);
        return;
    }
    lookup->reached = true;
    Outcome outcome = Outcome::unavailable;
    if (interval == Trust::Interval::trusted) {
        if (lookup->status == FactsStatus::found) outcome = Outcome::found;
        if (lookup->status == FactsStatus::absent) outcome = Outcome::unknown;
    }
    finish(lookup, outcome);
    leave_line(lookup);
}

void LookupSession::expire(Millis now) {
    const auto finish_due = [&](Lookup* lookup) {
        if (lookup->deadline <= now + kDeadlineSlack) finish(lookup, Outcome::unavailable);
    };
    for_all_in_line(finish_due);
}

bool LookupSession::tick(Millis now) {
    expire(now);
    if (!connected_) return true;
    if (pipeline_.outstanding() != 0) {
        if (now - progress_ < 2 * options_.timeout) return true;
        hold_off_if_blamed(now);
        return fail("Redis does not answer");
    }
    if (now - checked_ >= options_.heartbeat) {
        begin_to_owe(now);
        send_check(now);
    }
    return true;
}

Millis LookupSession::next_heartbeat() const noexcept {
    return pipeline_.outstanding() != 0 ? progress_ + 2 * options_.timeout : checked_ + options_.heartbeat;
}

}  // namespace apikey::redis
