#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "sidecar/doctor/clocks.hpp"
#include "sidecar/doctor/postgres_judge.hpp"
#include "sidecar/doctor/usage_stream.hpp"
#include "sidecar/settings.hpp"
#include "tests/core/reply_builder.hpp"
#include "tests/sidecar/doctor_findings.hpp"

namespace apikey::doctor {
namespace {

using apikey::test::ReplyBuilder;
using test::levels;
using test::only;

TEST(DoctorFindings, AreCountedAndSummedUp) {
    Findings findings;
    findings.ok("a", "fine");
    findings.warning("b", "odd", "mend it");
    EXPECT_EQ(summary_of(findings), "1 ok, 1 warning, 0 errors");
    findings.error("b", "broken", "mend it");
    findings.note("c", "by the way");
    findings.warning("b", "odd", "mend it");
    EXPECT_EQ(summary_of(findings), "1 ok, 1 note, 2 warnings, 1 error");
    EXPECT_EQ(levels(findings), "a ok, b warning, b error, c note, b warning");
}

Finding skew(Millis ahead, Millis uncertainty) {
    Findings findings;
    judge_skew("clock.redis", "Redis'", {ahead, uncertainty}, findings);
    return only(findings);
}

TEST(DoctorClocks, AreJudgedByWhatIsSure) {
    EXPECT_EQ(skew(Millis(0), Millis(0)).level, Level::ok);
    for (const int sign : {1, -1}) {
        EXPECT_EQ(skew(sign * kSkewWarning, Millis(0)).level, Level::ok);
        EXPECT_EQ(skew(sign * (kSkewWarning + Millis(1)), Millis(0)).level, Level::warning);
        EXPECT_EQ(skew(sign * kSkewError, Millis(0)).level, Level::warning);
        EXPECT_EQ(skew(sign * (kSkewError + Millis(1)), Millis(0)).level, Level::error);
        EXPECT_EQ(skew(sign * Millis(1500), Millis(600)).level, Level::ok);
    }
    EXPECT_EQ(skew(Millis(-1234), Millis(5)).message, "Redis' clock is -1.234 s from this machine's (within 0.005 s)");
    EXPECT_EQ(skew(Millis(60'007), Millis(0)).message.substr(0, 25), "Redis' clock is +60.007 s");
}

TEST(DoctorClocks, TheAnswerIsOfTheMiddleOfTheQuestion) {
    const Skew late = skew_of(Millis(1'000'000), Millis(400), 1'000'200);
    EXPECT_EQ(late.ahead, Millis(0));
    EXPECT_EQ(late.uncertainty, Millis(200));
    EXPECT_EQ(skew_of(Millis(1'000'000), Millis(0), 999'000).ahead, Millis(-1000));
}

TEST(DoctorUsage, IsReadFromXinfo) {
    ReplyBuilder stream;
    stream.array(6).string("length").integer(2).string("groups").integer(1).string("first-entry");
    stream.array(2).string("1700000000123-4").array(2).string("batch").string("length");
    EXPECT_EQ(stream_of(stream.view()).length, 2);
    EXPECT_EQ(stream_of(stream.view()).oldest, 1'700'000'000'123);
    ReplyBuilder empty;
    empty.array(4).string("length").integer(0).string("first-entry").nil();
    EXPECT_EQ(stream_of(empty.view()).oldest, 0);
    ReplyBuilder groups;
    groups.array(2).array(2).string("name").string("x").array(6).string("name").string("apikeyd");
    groups.string("consumers").integer(3).string("pending").integer(7);
    const std::vector<Group> read = groups_of(groups.view());
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[1].pending, 7);
    Findings findings;
    judge_groups("s", read, findings);
    judge_groups("s", {read[0]}, findings);
    EXPECT_EQ(levels(findings), "usage.group ok, usage.group error");
    EXPECT_TRUE(says_absent("ERR no such key"));
    EXPECT_FALSE(says_absent("WRONGTYPE Operation against a key"));
    for (const ReplyBuilder& odd : {ReplyBuilder().status("OK"), ReplyBuilder().array(1).string("length")}) {
        EXPECT_EQ(stream_of(odd.view()).length, 0);
        EXPECT_TRUE(groups_of(odd.view()).empty() || groups_of(odd.view()).front().name.empty());
    }
}

TEST(DoctorPostgres, Server) {
    const auto judged = [](const Server& server) {
        Findings findings;
        judge_server(server, findings);
        return levels(findings);
    };
    EXPECT_EQ(judged({"14.0", 140000}), "postgres.version ok, postgres.primary ok, postgres.read_only ok");
    EXPECT_EQ(judged({"13.9", 130009}), "postgres.version error, postgres.primary ok, postgres.read_only ok");
    EXPECT_EQ(judged({"15.1", 150001, true, true, true}),
              "postgres.version ok, postgres.primary error, postgres.read_only warning, postgres.pooler note");
}

TEST(DoctorPostgres, TriggersMustBeThereAndFire) {
    std::vector<Trigger> triggers = {
        {"apikey_emptied", 'O'},       {"apikey_updated", 'A'},    {"apikey_inserted_or_deleted", 'O'},
        {"apikey_audit_emptied", 'O'}, {"apikey_audit_rows", 'O'}, {"apikey_audit_changes", 'O'},
        {"apikey_only_added", 'O'}};
    Findings good;
    judge_triggers(triggers, good);
    EXPECT_EQ(only(good).level, Level::ok);
    for (const char state : {'D', 'R'}) {
        triggers[1].enabled = state;
        Findings findings;
        judge_triggers(triggers, findings);
        EXPECT_EQ(only(findings).level, Level::error) << state;
        EXPECT_TRUE(only(findings).advice.starts_with("ALTER TABLE api_keys ENABLE TRIGGER apikey_updated;"));
    }
    Findings none;
    judge_triggers({}, none);
    EXPECT_EQ(none.count(Level::error), 7U);
}

TEST(DoctorPostgres, RolesHaveNoMoreRightsThanTheyNeed) {
    const auto judged = [](const Role& apikeyd, bool is_member) {
        Findings findings;
        judge_roles({{"apikey_user"}, apikeyd}, is_member, findings);
        return only(findings).level;
    };
    EXPECT_EQ(judged({"apikeyd"}, true), Level::ok);
    EXPECT_EQ(judged({"apikeyd"}, false), Level::error);
    EXPECT_EQ(judged({"apikeyd", true}, true), Level::error);
    EXPECT_EQ(judged({"apikeyd", false, true}, true), Level::error);
    EXPECT_EQ(judged({"apikeyd", false, false, true}, true), Level::error);
    EXPECT_EQ(judged({"another"}, true), Level::error);
}

TEST(DoctorPostgres, TheConnectedRoleMayHaveMoreAndMustHaveEnough) {
    const auto judged = [](const ConnectedRole& connected) {
        Findings findings;
        judge_connected_role(connected, findings);
        return levels(findings);
    };
    EXPECT_EQ(judged({{"apikeyd"}, true, true, ""}), "postgres.role ok, postgres.privileges ok");
    EXPECT_EQ(judged({{"owner", false, false, true}, true, true, ""}), "postgres.role note, postgres.privileges ok");
    EXPECT_EQ(judged({{"apikeyd"}, false, true, ""}), "postgres.role ok, postgres.privileges error");
    EXPECT_EQ(judged({{"apikeyd"}, true, false, ""}), "postgres.role ok, postgres.privileges error");
    EXPECT_EQ(judged({{"apikeyd"}, true, true, "scopes"}), "postgres.role ok, postgres.privileges error");
}

TEST(DoctorPostgres, SaysWhichRightsUsageNeeds) {
    Findings findings;
    judge_usage_rights("apikeyd", {}, findings);
    judge_usage_rights("apikeyd", {"INSERT ON usage_records", "TEMPORARY ON DATABASE d"}, findings);
    EXPECT_EQ(levels(findings), "postgres.usage ok, postgres.usage error");
    EXPECT_EQ(findings.all().back().advice,
              "GRANT INSERT ON usage_records TO \"apikeyd\"; GRANT TEMPORARY ON DATABASE d TO \"apikeyd\";");
}

TEST(PlaceOfSetting, IsItsLine) {
    const std::string file = testing::TempDir() + "place_of_setting.yaml";
    std::ofstream(file) << "# settings\npostgres: host=a\n\nkeys:\n  redis: x\nredis: unix:/a\n";
    EXPECT_EQ(place_of_setting(file, "postgres"), file + ":2");
    EXPECT_EQ(place_of_setting(file, "redis"), file + ":6");
    EXPECT_EQ(place_of_setting(file, "listen"), file);
    std::remove(file.c_str());
    EXPECT_EQ(place_of_setting(file, "listen"), file);
}

}  // namespace
}  // namespace apikey::doctor
