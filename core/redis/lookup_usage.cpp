// Usage on the connection for lookups: batches on their way to apikeyd, and how many wait there.
#include <limits>

#include "core/decimal.hpp"
#include "core/redis/lookup_session.hpp"
#include "core/usage/batch_text.hpp"

namespace apikey::redis {

namespace {

constexpr std::size_t kEntryOverhead = 256;  // the command around the texts, and our memory of it
// The block for what is not yet written: shipments, and what goes between them.
constexpr std::size_t kOutputBlock = LookupSession::kMostShipping + std::size_t{64} * 1024;
constexpr std::size_t kMostEpochBytes = 256;  // of it are remembered; a real one is shorter
constexpr const char* kOtherKind = "Redis sent a reply of another kind";

}  // namespace

void LookupSession::forget_usage() {
    ++usage_generation_;
    shipping_.clear();
    shipping_bytes_ = 0;
    shipped_.clear();
    last_entry_.reset();
    epoch_was_.reset();
    heard_ = 0;
    usage_asked_.reset();
    usage_state_.reset();
}

// What was taken before the epoch changed may have been flushed with it.
void LookupSession::look_at_usage_epoch(std::string_view epoch) {
    epoch = epoch.substr(0, kMostEpochBytes);
    if (epoch_was_ == epoch) return;
    if (epoch_was_) {
        ++usage_generation_;
        for (Shipped& shipped : shipped_)
            shipped.taken = false;
    }
    epoch_was_ = epoch;
}

bool LookupSession::ship(const UsageEntry& entry, std::uint64_t cookie, Millis now) {
    using namespace usage;
    if (!ready_ || now < hold_off_until_) return false;
    const std::size_t bytes =
        kEntryOverhead + entry.batch.size() + entry.sealed.size() + entry.keys.size() + entry.rows.size();
    if (!shipping_.empty() && shipping_bytes_ + bytes > kMostShipping) return false;
    begin_to_owe(now);
    send_check_if_due(now);
    pipeline_.make_room(bytes, kOutputBlock);
    send(Expect::shipment, {"XADD", usage_key_, "*", kBatchField, entry.batch, kSealedField, entry.sealed, kKeysField,
                            entry.keys, kRowsField, entry.rows});
    shipping_.push_back({cookie, bytes});
    shipping_bytes_ += bytes;
    return true;
}

// Only its first entry is asked for, so that the reply is short however many are pending.
void LookupSession::ask_usage_state(Millis now) {
    if (!ready_ || usage_asked_ || now < hold_off_until_) return;
    begin_to_owe(now);
    send_check_if_due(now);
    usage_asked_ = UsageState{};
    send(Expect::usage_length, {"XLEN", usage_key_});
    send(Expect::dead_length, {"XLEN", usage_dead_key_});
    send(Expect::pending_usage, {"XPENDING", usage_key_, kUsageGroup, "-", "+", "1"});
}

bool LookupSession::take_usage(Expect what, const ReplyView& reply) {
    switch (what) {
        case Expect::shipment: return take_shipment(reply);
        case Expect::usage_length: return take_length(reply, &usage_asked_->entries);
        case Expect::dead_length: return take_length(reply, &usage_asked_->dead);
        default: return take_pending(reply);
    }
}

bool LookupSession::take_shipment(const ReplyView& reply) {
    const bool taken = !reply.is(ReplyType::error);
    if (taken) {
        const auto id = entry_id(reply);
        // One that was repeated would acknowledge an entry that was refused.
        if (!id || id == last_entry_) return fail(kOtherKind);
        last_entry_ = id;
        hold_off_ = kFirstHoldOff;
    } else {
        ++notice_.refused_shipments;
        notice_.refusal = error_code(reply.text());
    }
    shipped_.push_back({shipping_.front().cookie, taken});
    shipping_bytes_ -= shipping_.front().bytes;
    shipping_.pop_front();
    return true;
}

bool LookupSession::take_length(const ReplyView& reply, std::uint64_t* length) {
    if (reply.is(ReplyType::error)) return true;
    if (!reply.is(ReplyType::integer) || reply.integer() < 0) return fail(kOtherKind);
    *length = static_cast<std::uint64_t>(reply.integer());
    return true;
}

// Each pending entry is an array of its id, its consumer, and two numbers. NOGROUP is what Redis says before the first
// usage was shipped.
bool LookupSession::take_pending(const ReplyView& reply) {
    if (!reply.is(ReplyType::error)) {
        if (!reply.is(ReplyType::array) || reply.size() > 1) return fail(kOtherKind);
        if (reply.size() == 1) {
            const ReplyView entry = reply[0];
            const auto id = entry.size() != 0 ? entry_id(entry[0]) : std::nullopt;
            if (!id || id->first > std::numeric_limits<std::int64_t>::max()) return fail(kOtherKind);
            usage_asked_->oldest_pending = static_cast<std::int64_t>(id->first);
        }
    }
    usage_state_ = std::exchange(usage_asked_, std::nullopt);
    return true;
}

std::optional<LookupSession::EntryId> LookupSession::entry_id(const ReplyView& reply) noexcept {
    if (!reply.is(ReplyType::string)) return std::nullopt;
    const std::string_view text = reply.text();
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto milliseconds = parse_decimal(text.substr(0, dash));
    const auto number = parse_decimal(text.substr(dash + 1));
    if (!milliseconds || !number) return std::nullopt;
    return EntryId(*milliseconds, *number);
}

}  // namespace apikey::redis
