#include "sidecar/full_pass.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_set>

#include "core/digest.hpp"
#include "core/redis/reply.hpp"
#include "sidecar/leader_lease.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

constexpr std::string_view kScanCount = "1000";

// A pattern that matches exactly the names that begin with `prefix`.
std::string pattern_of(const std::string& prefix) {
    std::string pattern;
    for (const char c : prefix) {
        if (std::string_view("*?[]^\\-").find(c) != std::string_view::npos) pattern += '\\';
        pattern += c;
    }
    return pattern + "*";
}

// The first 16 of 64 hex digits as a number; nothing when it is no hash.
std::optional<std::uint64_t> beginning_of(std::string_view hash) {
    std::uint64_t beginning = 0;
    if (hash.size() != kDigestHexChars) return std::nullopt;
    const std::string_view digits = hash.substr(0, 16);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), beginning, 16);
    if (error != std::errc{} || end != digits.end()) return std::nullopt;
    return beginning;
}

}  // namespace

FullPass::Report FullPass::run() {
    read_epoch();
    if (report_.rebuilt) {
        hooks_.rebuild_begins();
        for_all_in_redis([this](std::vector<std::string>& hashes) { remove(hashes); });
        copy_rows();
        set_epoch();
    } else {
        copy_rows();
        std::sort(copied_.begin(), copied_.end());
        for_all_in_redis([this](std::vector<std::string>& hashes) { remove_strays(hashes); });
    }
    return report_;
}

void FullPass::read_epoch() {
    run_id_ = redis::info_field(redis_.text({"INFO", "server"}), "run_id");
    if (run_id_.empty()) throw RedisError("Redis does not say its run_id (INFO server)");
    redis_.send({"GET", names_.epoch});
    redis_.exchange([this](std::size_t, const redis::ReplyView& reply) {
        // Something else of that name proves as little as none, and set_epoch() replaces it.
        if (reply.is(redis::ReplyType::error) && redis::error_code(reply.text()) == "WRONGTYPE") {
            return spdlog::warn("{} in Redis is no text: somebody else wrote it; it is made anew", names_.epoch);
        }
        must_succeed(reply);
        report_.epoch = reply.text();
    });
    report_.rebuilt = !report_.epoch.starts_with(run_id_ + " ");
}

void FullPass::copy_rows() {
    std::string after;  // up to here everything is copied
    mirror_.start_after(after);
    for (;;) {
        const KeyBatch batch = mirror_.take();
        const bool more = !batch.last_hash.empty();
        if (more) mirror_.start_after(batch.last_hash);  // Postgres reads while Redis writes
        const bool copied = copy_batch(batch);
        if (copied) {
            remember(batch);
            after = batch.last_hash;
            if (!more) return;
            if (!hooks_.others_wait()) continue;
        }
        if (more) mirror_.discard();
        if (!copied) hooks_.wait_for_memory();
        hooks_.do_others();
        mirror_.start_after(after);
    }
}

// False: Redis is full, the batch must be tried again (rebuild only).
bool FullPass::copy_batch(const KeyBatch& batch) {
    std::vector<const KeyBatch::Key*> keys;
    if (report_.rebuilt) {
        for (const KeyBatch::Key& key : batch.keys)
            keys.push_back(&key);
    } else {
        keys = mirror_.different(batch);
    }
    const auto before = report_.rebuilt ? KeyMirror::Before::of_ours : KeyMirror::Before::anything;
    if (mirror_.put(keys, announcement(), before) == FencedWriter::Outcome::full) {
        if (report_.rebuilt) return false;
        hooks_.postpone(keys);
        report_.postponed += keys.size();
        return true;
    }
    report_.written += keys.size();
    return true;
}

void FullPass::remember(const KeyBatch& batch) {
    report_.keys += batch.keys.size();
    if (report_.rebuilt) return;  // Redis was empty: no strays
    for (const KeyBatch::Key& key : batch.keys) {
        if (const auto beginning = beginning_of(key.hash)) copied_.push_back(*beginning);
    }
}

void FullPass::for_all_in_redis(const std::function<void(std::vector<std::string>&)>& handle) {
    const std::string pattern = pattern_of(names_.keys);
    std::string cursor = "0";
    do {
        std::vector<std::string> hashes;
        redis_.send({"SCAN", cursor, "MATCH", pattern, "COUNT", kScanCount});
        redis_.exchange([&](std::size_t, const redis::ReplyView& reply) {
            must_succeed(reply);
            if (reply.size() != 2) throw RedisError("Redis answers SCAN in another form");
            cursor = reply[0].text();
            const redis::ReplyView found = reply[1];
            for (std::size_t i = 0; i < found.size(); ++i)
                hashes.emplace_back(found[i].text().substr(names_.keys.size()));
        });
        handle(hashes);
        if (hooks_.others_wait()) hooks_.do_others();
    } while (cursor != "0");
}

void FullPass::remove_strays(std::vector<std::string>& hashes) {
    std::erase_if(hashes, [this](const std::string& hash) {
        const auto beginning = beginning_of(hash);
        return beginning && std::binary_search(copied_.begin(), copied_.end(), *beginning);
    });
    if (hashes.empty()) return;
    // As Postgres says now: a key may have been made after its place in the order was passed.
    std::vector<std::string_view> possible;
    for (const std::string& hash : hashes) {
        if (from_hex(hash)) possible.emplace_back(hash);
    }
    const KeyBatch batch = mirror_.read(possible);
    std::unordered_set<std::string_view> active;
    for (const KeyBatch::Key& key : batch.keys)
        active.insert(key.hash);
    std::erase_if(hashes, [&](const std::string& hash) { return active.contains(hash); });
    remove(hashes);
}

void FullPass::remove(const std::vector<std::string>& hashes) {
    mirror_.remove({hashes.begin(), hashes.end()}, announcement());
    report_.removed += hashes.size();
}

// After a rebuild the workers are told once, at its end, that anything may have changed.
KeyMirror::Announcement FullPass::announcement() const {
    using What = KeyMirror::Announcement::What;
    return {report_.rebuilt ? What::nothing : What::each_key, {}};
}

void FullPass::set_epoch() {
    const std::string epoch = run_id_ + " " + random_token();
    while (mirror_.set_epoch(epoch) == FencedWriter::Outcome::full) {
        hooks_.wait_for_memory();
        hooks_.do_others();
    }
    report_.epoch = epoch;
}

}  // namespace apikey
