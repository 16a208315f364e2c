#include "sidecar/doctor/redis_checks.hpp"

#include <chrono>
#include <exception>
#include <optional>

#include "core/redis/names.hpp"
#include "sidecar/doctor/clocks.hpp"
#include "sidecar/doctor/redis_judge.hpp"
#include "sidecar/doctor/redis_questions.hpp"
#include "sidecar/doctor/usage_checks.hpp"
#include "sidecar/membership.hpp"
#include "sidecar/redis_client.hpp"

namespace apikey::doctor {
namespace {

class RedisExamination {
  public:
    RedisExamination(RedisClient& client, const Settings& settings, Findings& findings)
        : questions_(client, settings, findings), names_(settings.redis_prefix), findings_(findings) {}

    void run() {
        read_info();
        read_time();
        read_filling();
        read_workers();
        check_usage(questions_, names_, now_, findings_);
    }

  private:
    void read_info() {
        questions_.ask_for("redis.info", "info", {"INFO"}, [this](const redis::ReplyView& reply) {
            run_id_ = redis::info_field(reply.text(), "run_id");
            judge_server(reply.text(), findings_);
            judge_memory(reply.text(), findings_);
            judge_persistence(reply.text(), findings_);
        });
    }

    void read_time() {
        std::optional<std::string> refused;
        const Skew skew = measure_skew([&] {
            refused = questions_.ask({"TIME"}, [this](const redis::ReplyView& reply) { now_ = redis_millis(reply); });
            return now_;
        });
        if (!refused) return judge_skew("clock.redis", "Redis'", skew, findings_);
        questions_.refuse("clock.redis", "time", *refused);
        // Leases are then judged by this machine's clock, which is better than not at all.
        now_ = std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch()).count();
    }

    void read_filling() {
        Filling filling{run_id_, {}, {}};
        const bool has_epoch = questions_.ask_for("redis.epoch", "get", {"GET", names_.epoch},
                                                  [&](const redis::ReplyView& reply) { filling.epoch = reply.text(); });
        const bool has_leader =
            questions_.ask_for("redis.leader", "get", {"GET", names_.leader},
                               [&](const redis::ReplyView& reply) { filling.leader = reply.text(); });
        if (has_epoch && !run_id_.empty()) judge_epoch(filling, findings_);
        if (has_leader) judge_leader(filling, names_.leader, findings_);
    }

    void read_workers() {
        questions_.ask_for("redis.workers", "zrange", {"ZRANGE", names_.workers, "0", "-1", "WITHSCORES"},
                           [this](const redis::ReplyView& reply) {
                               judge_workers(membership_of(now_, reply), names_.workers, findings_);
                           });
    }

    RedisQuestions questions_;
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
