#include <gtest/gtest.h>

#include <string>

#include "sidecar/doctor/redis_judge.hpp"
#include "tests/sidecar/doctor_findings.hpp"

namespace apikey::doctor {
namespace {

using test::levels;
using test::only;

std::string info(std::initializer_list<const char*> lines) {
    std::string text = "# Section\r\n";
    for (const char* line : lines)
        text += std::string(line) + "\r\n";
    return text;
}

Level eviction(const char* policy) {
    Findings findings;
    judge_memory(info({(std::string("maxmemory_policy:") + policy).c_str(), "maxmemory:0", "used_memory:1"}), findings);
    return test::find(findings, "redis.eviction").level;
}

TEST(DoctorRedis, WhatMayEvictKeysOrTheStreamIsAnError) {
    EXPECT_EQ(eviction("noeviction"), Level::ok);
    for (const char* policy : {"allkeys-lru", "allkeys-lfu", "allkeys-random", "something-new", ""})
        EXPECT_EQ(eviction(policy), Level::error) << policy;
    for (const char* policy : {"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"})
        EXPECT_EQ(eviction(policy), Level::warning) << policy;
}

Level memory(const char* used, const char* not_counted, const char* most) {
    Findings findings;
    judge_memory(
        info({(std::string("used_memory:") + used).c_str(), (std::string("maxmemory:") + most).c_str(),
              (std::string("mem_not_counted_for_evict:") + not_counted).c_str(), "maxmemory_policy:noeviction"}),
        findings);
    return test::find(findings, "redis.memory").level;
}

TEST(DoctorRedis, MemoryIsJudgedAsRedisCountsIt) {
    EXPECT_EQ(memory("900", "0", "0"), Level::ok) << "no limit";
    EXPECT_EQ(memory("899", "0", "1000"), Level::ok);
    EXPECT_EQ(memory("901", "0", "1000"), Level::warning);
    EXPECT_EQ(memory("999", "0", "1000"), Level::warning);
    EXPECT_EQ(memory("1000", "0", "1000"), Level::error);
    EXPECT_EQ(memory("1000", "500", "1000"), Level::ok) << "buffers of replicas and of the AOF do not count";
    EXPECT_EQ(memory("1", "500", "1000"), Level::ok);
    EXPECT_EQ(memory("18446744073709551615", "0", "18446744073709551615"), Level::error);
}

TEST(DoctorRedis, ServerVersionRoleAndCluster) {
    Findings good;
    judge_server(info({"redis_version:7.0.15", "role:master", "cluster_enabled:0"}), good);
    EXPECT_EQ(levels(good), "redis.version ok, redis.role ok, redis.cluster ok");
    Findings bad;
    judge_server(info({"redis_version:6.2.14", "role:slave", "cluster_enabled:1"}), bad);
    EXPECT_EQ(levels(bad), "redis.version warning, redis.role error, redis.cluster error");
    Findings newer;
    judge_server(info({"redis_version:10.0.0", "role:master"}), newer);
    EXPECT_EQ(levels(newer), "redis.version ok, redis.role ok, redis.cluster ok");
}

TEST(DoctorRedis, Persistence) {
    const char* const good = "rdb_last_bgsave_status:ok";
    const auto judged = [](std::initializer_list<const char*> lines) {
        Findings findings;
        judge_persistence(info(lines), findings);
        return levels(findings);
    };
    EXPECT_EQ(judged({"loading:0", "aof_enabled:1", good}), "redis.persistence ok, redis.saving ok");
    EXPECT_EQ(judged({"loading:0", "aof_enabled:0", good}), "redis.persistence warning, redis.saving ok");
    EXPECT_EQ(judged({"loading:1", "aof_enabled:1"}), "redis.persistence error, redis.saving ok");
    EXPECT_EQ(judged({"async_loading:1", "aof_enabled:1"}), "redis.persistence error, redis.saving ok");
    for (const char* failed :
         {"rdb_last_bgsave_status:err", "aof_last_bgrewrite_status:err", "aof_last_write_status:err"})
        EXPECT_EQ(judged({"aof_enabled:1", failed}), "redis.persistence ok, redis.saving error") << failed;
}

TEST(DoctorRedis, TheEpochMustNameThisRun) {
    const std::string run(40, 'a');
    const auto judged = [&](const std::string& epoch, const std::string& leader) {
        Findings findings;
        judge_epoch({run, epoch, leader}, findings);
        return only(findings);
    };
    EXPECT_EQ(judged(run + " pass", "").level, Level::ok);
    for (const std::string& epoch : {std::string(), std::string(40, 'b') + " pass", run, run + "x pass"}) {
        EXPECT_EQ(judged(epoch, "").level, Level::error) << epoch;
        EXPECT_NE(judged(epoch, "").advice.find("start apikeyd"), std::string::npos);
        EXPECT_EQ(judged(epoch, "token").level, Level::error) << epoch;
        EXPECT_NE(judged(epoch, "token").advice.find("is filling"), std::string::npos);
    }
}

TEST(DoctorRedis, WorkersAreCountedByTheirLeases) {
    const auto judged = [](std::vector<Member> members) {
        Membership membership;
        membership.redis_now = 10'000;
        membership.members = std::move(members);
        Findings findings;
        judge_workers(membership, "apikey:workers", findings);
        return only(findings);
    };
    EXPECT_EQ(judged({}).level, Level::warning);
    EXPECT_EQ(judged({{"a", 10'000}}).level, Level::warning) << "it ends at that moment";
    EXPECT_EQ(judged({{"a", 10'001}}).message, "1 worker hears of changes: a 1 ms");
    EXPECT_EQ(judged({{"a", 9'000}, {"b\n", 11'500}}).message, "1 worker hears of changes: a ended, b? 1500 ms");
    const Finding many = judged(std::vector<Member>(20, {"w", 11'000}));
    EXPECT_TRUE(many.message.starts_with("20 workers hear")) << many.message;
    EXPECT_TRUE(many.message.ends_with(" and 4 more")) << many.message;
}

TEST(DoctorRedis, ARefusalNamesTheRuleThatLacks) {
    const auto judged = [](const char* text) {
        Findings findings;
        judge_refusal({"redis.epoch", "get", "apikeyd", "apikey:"}, text, findings);
        return only(findings);
    };
    EXPECT_EQ(judged("NOPERM User apikeyd has no permissions to run the 'get' command").advice,
              "ACL SETUSER apikeyd +get");
    EXPECT_EQ(judged("NOPERM this user has no permissions to run the 'get' command").advice,
              "ACL SETUSER apikeyd +get");
    EXPECT_EQ(judged("NOPERM No permissions to access a key").advice, "ACL SETUSER apikeyd ~apikey:*");
    EXPECT_EQ(judged("NOPERM this user has no permissions to access one of the keys used as arguments").advice,
              "ACL SETUSER apikeyd ~apikey:*");
    EXPECT_EQ(judged("NOPERM No permissions").level, Level::warning);
    EXPECT_EQ(judged("WRONGTYPE Operation against a key").level, Level::error);
    const std::string hash(64, 'c');
    EXPECT_EQ(judged(("ERR about 'apikey:k:" + hash + "'").c_str()).message.find(hash), std::string::npos);
}

TEST(DoctorRedis, AdviceForConnections) {
    const auto advice = [](const char* message) { return advice_for_connection(message, "a.yaml:7"); };
    EXPECT_NE(advice("Redis wants a password (NOAUTH): set redis_password_file").find("a.yaml:7: set redis_pass"),
              std::string::npos);
    EXPECT_NE(advice("Redis refuses user or password (WRONGPASS)").find("correct user"), std::string::npos);
    EXPECT_NE(advice("Redis is loading its data (LOADING)").find("wait"), std::string::npos);
    EXPECT_NE(advice("Redis at x: its certificate does not prove that it is x").find("redis_ca_file"),
              std::string::npos);
    EXPECT_NE(advice("Redis at x: Connection refused while connecting").find("Does Redis run"), std::string::npos);
}

}  // namespace
}  // namespace apikey::doctor
