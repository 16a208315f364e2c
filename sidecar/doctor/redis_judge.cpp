#include "sidecar/doctor/redis_judge.hpp"

#include <cmath>

#include "core/byte_run.hpp"
#include "core/decimal.hpp"
#include "core/redis/reply.hpp"
#include "core/redis/trust.hpp"
#include "sidecar/redis_client.hpp"

namespace apikey::doctor {
namespace {

using redis::info_field;

constexpr std::uint64_t kRecommendedMajor = 7;
constexpr std::size_t kMostWorkersShown = 16;

std::uint64_t number(std::string_view info, std::string_view field) {
    return parse_decimal(info_field(info, field)).value_or(0);
}

// A line for redis-cli and what keeps it over a restart.
std::string configure(const std::string& setting) {
    return "CONFIG SET " + setting + " in redis-cli, and the same in redis.conf (or CONFIG REWRITE)";
}

std::string megabytes(std::uint64_t bytes) {
    return std::to_string((bytes + (1U << 19)) >> 20) + " MiB";
}

}  // namespace

void judge_server(std::string_view info, Findings& findings) {
    const std::string version = without_control_bytes(std::string(info_field(info, "redis_version")));
    const auto major = parse_decimal(version.substr(0, version.find('.')));
    if (major && *major < kRecommendedMajor) {
        findings.warning("redis.version", "Redis " + version + ": when it is full it cannot take a new leader",
                         "install Redis 7 or newer");
    } else {
        findings.ok("redis.version", "Redis " + version);
    }
    const std::string_view role = info_field(info, "role");
    if (role == "master") {
        findings.ok("redis.role", "it is a master");
    } else {
        findings.error(
            "redis.role", "it is a replica: apikeyd cannot write to it, and nginx does not believe it",
            "let `redis` of apikeyd.yaml and api_key_redis of nginx.conf name the master, or promote this one: "
            "REPLICAOF NO ONE");
    }
    if (info_field(info, "cluster_enabled") == "1") {
        findings.error("redis.cluster", "cluster mode is on: one transaction cannot write keys of several slots",
                       "use a Redis of its own with `cluster-enabled no` in redis.conf");
    } else {
        findings.ok("redis.cluster", "no cluster");
    }
}

void judge_memory(std::string_view info, Findings& findings) {
    const std::string policy(info_field(info, "maxmemory_policy"));
    const std::string advice = configure("maxmemory-policy noeviction");
    if (policy == "noeviction") {
        findings.ok("redis.eviction", "maxmemory-policy noeviction: nothing is evicted");
    } else if (policy.starts_with("volatile-")) {
        findings.warning("redis.eviction",
                         "maxmemory-policy " + policy + ": may evict the leader's lease, so that apikeyd begins anew",
                         advice);
    } else {
        findings.error(
            "redis.eviction",
            "maxmemory-policy " + policy + ": may evict keys, which are then refused, and usage, which is lost",
            advice);
    }
    const std::uint64_t most = number(info, "maxmemory");
    const std::uint64_t not_counted = number(info, "mem_not_counted_for_evict");
    const std::uint64_t used = number(info, "used_memory") - std::min(not_counted, number(info, "used_memory"));
    const std::string message =
        megabytes(used) + (most == 0 ? " used, maxmemory is not set" : " of " + megabytes(most) + " used");
    const std::string more = configure("maxmemory <more>") + ", or remove what else is in this Redis";
    if (most != 0 && used >= most) {
        findings.error("redis.memory", "Redis is full (" + message + "): new keys and narrower scopes wait", more);
    } else if (most != 0 && used / kMemoryWarningPercent >= most / 100) {
        findings.warning("redis.memory",
                         message + ": over " + std::to_string(kMemoryWarningPercent) + " % of maxmemory", more);
    } else {
        findings.ok("redis.memory", message);
    }
}

void judge_persistence(std::string_view info, Findings& findings) {
    if (info_field(info, "loading") == "1" || info_field(info, "async_loading") == "1") {
        findings.error("redis.persistence", "Redis is loading its data",
                       "wait until it has (INFO persistence says how far)");
    } else if (info_field(info, "aof_enabled") == "1") {
        findings.ok("redis.persistence", "AOF is on");
    } else {
        findings.warning(
            "redis.persistence",
            "AOF is off: usage that was shipped and is not yet applied would be lost when Redis dies; keys "
            "are not affected, apikeyd writes them anew",
            configure("appendonly yes"));
    }
    std::string failed;
    for (const char* const field : {"rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status"}) {
        if (info_field(info, field) == "err") failed += (failed.empty() ? "" : ", ") + std::string(field) + ":err";
    }
    if (failed.empty()) {
        findings.ok("redis.saving", "no attempt to save has failed last");
    } else {
        findings.error("redis.saving", "Redis could not save (" + failed + "): it may refuse writes from now on",
                       "see Redis' log for the cause (a full disk, its folder's owner), mend it, then BGSAVE or "
                       "BGREWRITEAOF in redis-cli");
    }
}

void judge_epoch(const Filling& filling, Findings& findings) {
    redis::Trust trust;
    trust.connected(filling.run_id);
    if (trust.observe(filling.epoch) != redis::Trust::Interval::untrusted) {
        return findings.ok("redis.epoch", "every active key is there: the epoch names this run of Redis");
    }
    const std::string what = filling.epoch.empty()
                                 ? "there is no epoch"
                                 : "the epoch is of another run of Redis (it restarted or was replaced)";
    const std::string then = ": nginx believes nothing of this Redis and answers 503 for what it has not cached";
    if (filling.leader.empty()) {
        findings.error("redis.epoch", what + then, "start apikeyd (systemctl start apikeyd): it fills Redis");
    } else {
        findings.error("redis.epoch", what + " yet" + then,
                       "apikeyd leads and is filling Redis: ask again in a moment; if it stays, its log says why "
                       "(journalctl -u apikeyd)");
    }
}

void judge_leader(const Filling& filling, const std::string& key, Findings& findings) {
    if (!filling.leader.empty()) return findings.ok("redis.leader", "an apikeyd leads and writes changes");
    findings.error("redis.leader",
                   "no apikeyd leads (" + key + " is absent): changes are recorded and do not come into force",
                   "start apikeyd (systemctl start apikeyd); if it runs, its log says why it does not lead, and its "
                   "redis_prefix must be the one of this file");
}

void judge_workers(const Membership& membership, const std::string& key, Findings& findings) {
    std::string list;
    std::size_t alive = 0;
    std::size_t shown = 0;
    for (const Member& member : membership.members) {
        const double left = member.lease_ends - static_cast<double>(membership.redis_now);
        if (left > 0) ++alive;
        if (++shown > kMostWorkersShown) continue;
        list += (list.empty() ? ": " : ", ") + without_control_bytes(member.worker) +
                (left > 0 ? " " + std::to_string(std::llround(std::min(left, 1e12))) + " ms" : " ended");
    }
    if (shown > kMostWorkersShown) list += " and " + std::to_string(shown - kMostWorkersShown) + " more";
    const std::string message =
        std::to_string(alive) + (alive == 1 ? " worker hears" : " workers hear") + " of changes" + list;
    if (alive > 0) return findings.ok("redis.workers", message);
    findings.warning("redis.workers",
                     "no nginx worker hears of changes (" + key + " has no lease that lasts" + list +
                         "): cached keys are not used without asking Redis",
                     "start nginx with api_key_cache on; if it runs, compare api_key_redis and api_key_redis_prefix of "
                     "nginx.conf with redis and redis_prefix here, and nginx' ACL with docs/operations.md");
}

void judge_refusal(const Refused& refused, std::string_view error_text, Findings& findings) {
    const std::string code(redis::error_code(error_text));
    const std::string denied = "the Redis user " + refused.user + " may not ";
    if (code == "NOPERM" && error_text.find(" key") != std::string_view::npos) {
        findings.warning(refused.check, denied + "read " + refused.prefix + "* (NOPERM): not looked at",
                         "ACL SETUSER " + refused.user + " ~" + refused.prefix + "*");
    } else if (code == "NOPERM") {
        findings.warning(refused.check, denied + "do " + refused.command + " (NOPERM): not looked at",
                         "ACL SETUSER " + refused.user + " +" + refused.command);
    } else if (code == "WRONGTYPE") {
        findings.error(refused.check, "something of another type stands there: not ours",
                       "find out who writes under the prefix " + refused.prefix +
                           ", then DEL it; or give another redis_prefix here and in nginx.conf");
    } else {
        findings.error(refused.check, explain(error_text), "see Redis' log");
    }
}

std::string advice_for_connection(const std::string& message, const std::string& place) {
    const auto says = [&](const char* word) { return message.find(word) != std::string::npos; };
    const std::string here = place + ": ";
    if (says("(NOAUTH)")) return here + "set redis_password_file, or a user and password in `redis`";
    if (says("(WRONGPASS)")) {
        return here +
               "correct user and password of `redis`, or the first line of redis_password_file; ACL LIST in "
               "redis-cli shows the users";
    }
    if (says("(NOPERM)")) return "give the user the ACL of docs/operations.md (ACL SETUSER ...)";
    if (says("(LOADING)")) return "wait until it has loaded (INFO persistence says how far)";
    if (says("redis_password_file")) return "put the password on the first line of that file, readable for this user";
    if (says("redis_ca_file") || says("TLS") || says("prove")) {
        return here + "compare rediss:// and redis_ca_file with Redis' tls-port and certificate";
    }
    return here + "is `redis` right? Does Redis run there (systemctl status redis-server, redis-cli PING)?";
}

}  // namespace apikey::doctor
