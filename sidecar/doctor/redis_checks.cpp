#include "sidecar/doctor/redis_checks.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <optional>

#include "core/redis/names.hpp"
#include "sidecar/doctor/clocks.hpp"
#include "sidecar/doctor/redis_judge.hpp"
#include "sidecar/doctor/usage_stream.hpp"
#include "sidecar/membership.hpp"
#include "sidecar/redis_client.hpp"

namespace apikey::doctor {
namespace {

class RedisExamination {
  public:
    RedisExamination(RedisClient& client, const Settings& settings, Findings& findings)
        : client_(client), settings_(settings), names_(settings.redis_prefix), findings_(findings) {}

    void run() {
        read_info();
        read_time();
        read_filling();
        read_workers();
        read_usage();
    }

  private:
    using Arguments = std::initializer_list<std::string_view>;
    using Use = std::function<void(const redis::ReplyView&)>;

    // One question. The text of an error reply, or nothing after `use` had the answer. Throws RedisError.
    std::optional<std::string> ask(Arguments arguments, const Use& use) {
        std::optional<std::string> refused;
        client_.send(arguments);
        client_.exchange([&](std::size_t, const redis::ReplyView& reply) {
            if (reply.is(redis::ReplyType::error)) {
                refused = reply.text();
            } else {
                use(reply);
            }
        });
        return refused;
    }

    // The same where every refusal is the finding. False: it was.
    bool ask_for(const char* check, const char* right, Arguments arguments, const Use& use) {
        const auto refused = ask(arguments, use);
        if (refused) refuse(check, right, *refused);
        return !refused;
    }

    // `right` is what the ACL must allow.
    void refuse(const char* check, const char* right, const std::string& error_text) {
        const std::string user = settings_.redis.user.empty() ? "default" : settings_.redis.user;
        judge_refusal({check, right, user, settings_.redis_prefix}, error_text, findings_);
    }

    void read_info() {
        ask_for("redis.info", "info", {"INFO"}, [this](const redis::ReplyView& reply) {
            run_id_ = redis::info_field(reply.text(), "run_id");
            judge_server(reply.text(), findings_);
            judge_memory(reply.text(), findings_);
            judge_persistence(reply.text(), findings_);
        });
    }

    void read_time() {
        std::optional<std::string> refused;
        const Skew skew = measure_skew([&] {
            refused = ask({"TIME"}, [this](const redis::ReplyView& reply) { now_ = redis_millis(reply); });
            return now_;
        });
        if (!refused) return judge_skew("clock.redis", "Redis'", skew, findings_);
        refuse("clock.redis", "time", *refused);
        // Leases are then judged by this machine's clock, which is better than not at all.
        now_ = std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch()).count();
    }

    void read_filling() {
        Filling filling{run_id_, {}, {}};
        const bool has_epoch = ask_for("redis.epoch", "get", {"GET", names_.epoch},
                                       [&](const redis::ReplyView& reply) { filling.epoch = reply.text(); });
        const bool has_leader = ask_for("redis.leader", "get", {"GET", names_.leader},
                                        [&](const redis::ReplyView& reply) { filling.leader = reply.text(); });
        if (has_epoch && !run_id_.empty()) judge_epoch(filling, findings_);
        if (has_leader) judge_leader(filling, names_.leader, findings_);
    }

    void read_workers() {
        ask_for("redis.workers", "zrange", {"ZRANGE", names_.workers, "0", "-1", "WITHSCORES"},
                [this](const redis::ReplyView& reply) {
                    judge_workers(membership_of(now_, reply), names_.workers, findings_);
                });
    }

    void read_usage() {
        std::optional<Stream> stream;
        if (!read_stream("usage.stream", names_.usage, stream)) return;
        judge_stream(names_.usage, stream, now_, findings_);
        if (stream) {
            ask_for("usage.group", "xinfo", {"XINFO", "GROUPS", names_.usage},
                    [this](const redis::ReplyView& reply) { judge_groups(names_.usage, groups_of(reply), findings_); });
        }
        if (read_stream("usage.dead", names_.usage_dead, stream))
            judge_dead(names_.usage_dead, stream, now_, findings_);
    }

    // False: it could not be read, which is a finding then.
    bool read_stream(const char* check, const std::string& name, std::optional<Stream>& stream) {
        stream.reset();
        const auto refused =
            ask({"XINFO", "STREAM", name}, [&](const redis::ReplyView& reply) { stream = stream_of(reply); });
        if (!refused || says_absent(*refused)) return true;
        refuse(check, "xinfo", *refused);
        return false;
    }

    RedisClient& client_;
    const Settings& settings_;
    redis::Names names_;
    Findings& findings_;
    std::string run_id_;
    std::int64_t now_ = 0;  // Redis' unix ms
};

}  // namespace

void check_redis(const Settings& settings, const std::string& place, Findings& findings) {
    std::optional<RedisClient> client;
    try {
        client.emplace(redis_target(settings));
    } catch (const std::exception& error) {  // also what Asio throws
        return findings.error("redis.connection", error.what(), advice_for_connection(error.what(), place));
    }
    findings.ok("redis.connection", redis::display(settings.redis) + ", as " +
                                        (settings.redis.user.empty() ? "default" : settings.redis.user) +
                                        (settings.redis.tls ? ", over TLS" : ""));
    try {
        RedisExamination(*client, settings, findings).run();
    } catch (const std::exception& error) {
        findings.error("redis.answers", std::string(error.what()) + ": the rest of Redis was not looked at",
                       "see Redis' log; is it overloaded, or something else on that port?");
    }
}

}  // namespace apikey::doctor
