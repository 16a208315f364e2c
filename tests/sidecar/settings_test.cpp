#include "sidecar/settings.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace apikey {
namespace {

const std::string kNeeded =
    "postgres: host=/run/postgresql dbname=app\n"
    "redis: redis://127.0.0.1:6379/0\n"
    "listen: unix:/run/apikeyd/apikeyd.sock\n";

Settings good(const std::string& yaml) {
    auto settings = parse_settings(yaml, "apikeyd.yaml");
    EXPECT_TRUE(settings.ok()) << settings.error();
    return settings.ok() ? *settings : Settings{};
}

std::string complaint(const std::string& yaml) {
    const auto settings = parse_settings(yaml, "apikeyd.yaml");
    EXPECT_FALSE(settings.ok()) << yaml;
    return settings.ok() ? "" : settings.error();
}

TEST(Settings, OnlyPostgresRedisAndListenAreNeeded) {
    const Settings settings = good(kNeeded);
    EXPECT_EQ(settings.postgres, "host=/run/postgresql dbname=app");
    EXPECT_EQ(settings.redis.host, "127.0.0.1");
    EXPECT_EQ(settings.listen, "/run/apikeyd/apikeyd.sock");
    EXPECT_EQ(settings.redis_prefix, "apikey:");
    EXPECT_EQ(settings.listen_mode, 0660U);
    EXPECT_EQ(settings.key_prefix, "ia_");
    EXPECT_EQ(settings.usage_bucket, std::chrono::seconds(60));
    EXPECT_EQ(settings.usage_keep, std::chrono::seconds(0));
    EXPECT_EQ(settings.flush_interval, std::chrono::seconds(1));
    EXPECT_EQ(settings.flush_rows, 10'000U);
    EXPECT_EQ(settings.exports_parallel, 8U);
    EXPECT_EQ(settings.exports_stall, std::chrono::seconds(60));
    EXPECT_EQ(settings.imports_max_bytes, 1'073'741'824U);
    EXPECT_EQ(settings.log_level, LogLevel::info);
    EXPECT_EQ(settings.log_format, LogFormat::text);
}

TEST(Settings, ReadsEverySetting) {
    const Settings settings = good(
        "postgres: postgresql://apikeyd:secret@a,b/app?target_session_attrs=any\n"
        "redis: unix:/run/redis.sock?db=3\n"
        "listen: unix:/tmp/s\n"
        "redis_prefix: 'k{1}:'\n"
        "listen_mode: \"0600\"\n"
        "keys: {prefix: sk-}\n"
        "usage:\n"
        "  bucket: 15m\n"
        "  keep: 365d\n"
        "  prices:\n"
        "    gpt-4o-mini: {input: 0.15, output: 0.6}\n"
        "    o1: {input: 15, output: 60.000001}\n"
        "flush: {interval: 2s, rows: 500}\n"
        "exports: {parallel: 2, stall: 15s}\n"
        "imports: {max_bytes: 64m}\n"
        "log: {level: debug, format: json}\n");
    EXPECT_EQ(settings.redis.unix_path, "/run/redis.sock");
    EXPECT_EQ(settings.redis.database, 3);
    EXPECT_EQ(settings.redis_prefix, "k{1}:");
    EXPECT_EQ(settings.listen_mode, 0600U);
    EXPECT_EQ(settings.key_prefix, "sk-");
    EXPECT_EQ(settings.usage_bucket, std::chrono::minutes(15));
    EXPECT_EQ(settings.usage_keep, std::chrono::days(365));
    EXPECT_EQ(settings.usage_prices.at("gpt-4o-mini").input, 150'000);
    EXPECT_EQ(settings.usage_prices.at("gpt-4o-mini").output, 600'000);
    EXPECT_EQ(settings.usage_prices.at("o1").input, 15'000'000);
    EXPECT_EQ(settings.usage_prices.at("o1").output, 60'000'001);
    EXPECT_EQ(settings.flush_interval, std::chrono::seconds(2));
    EXPECT_EQ(settings.flush_rows, 500U);
    EXPECT_EQ(settings.exports_parallel, 2U);
    EXPECT_EQ(settings.exports_stall, std::chrono::seconds(15));
    EXPECT_EQ(settings.imports_max_bytes, 67'108'864U);
    EXPECT_EQ(settings.log_level, LogLevel::debug);
    EXPECT_EQ(settings.log_format, LogFormat::json);
}

// What is wrong, on line 4 (after kNeeded), and what the complaint says.
struct Mistake {
    const char* yaml;
    const char* says;
};

class MistakeOnLine4 : public testing::TestWithParam<Mistake> {};

TEST_P(MistakeOnLine4, IsNamedWithItsLineAndWhatToWriteInstead) {
    const std::string said = complaint(kNeeded + GetParam().yaml);
    EXPECT_TRUE(said.starts_with("apikeyd.yaml:4: ")) << said;
    EXPECT_NE(said.find(GetParam().says), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(
    Settings, MistakeOnLine4,
    testing::Values(Mistake{"redis_prefx: x\n", "did you mean \"redis_prefix\"?"},
                    Mistake{"colour: blue\n", "is no setting; there are: postgres, redis, listen"},
                    Mistake{"keys.prefix: x\n",
                            "write it as a block: \"keys:\" and below it, indented, \"prefix: ...\""},
                    Mistake{"redis: redis://b\n", "redis: is given twice; keep one"},
                    Mistake{"redis_prefix:\n", "has no value"}, Mistake{"redis_prefix: [a]\n", "must be one value"},
                    Mistake{"redis_prefix: 'a b'\n", "1 to 64 printable ASCII characters"},
                    Mistake{"redis_prefix: ''\n", "1 to 64 printable ASCII characters"},
                    Mistake{"listen_mode: 0999\n", "\"0660\""}, Mistake{"listen_mode: rw\n", "\"0660\""},
                    Mistake{"listen_mode: 07777\n", "\"0660\""},
                    Mistake{"secret_file: secret\n", "is no absolute path"},
                    Mistake{"secret_file: /nonexistent/secret\n", "cannot be read"},
                    Mistake{"redis_password_file: /dev/null\n", "has no secret of 1 to 512 bytes on its first line"},
                    Mistake{"redis_password_file: /dev/zero\n", "has no secret of 1 to 512 bytes on its first line"},
                    Mistake{"redis_password_file: /dev\n", "cannot be read"},
                    Mistake{"keys: ia_\n", "keys must hold settings, one \"name: value\" a line"},
                    Mistake{"keys: {prefix: 'a b'}\n", "keys.prefix: \"a b\" is no prefix for keys"},
                    Mistake{"keys: {prefix: ''}\n", "1 to 32 of"},
                    Mistake{"keys: {suffix: x}\n", "keys.suffix: is no setting; there are: prefix"},
                    Mistake{"usage: {bucket: 90s}\n", "usage.bucket: \"90s\" is no whole number of minutes"},
                    Mistake{"usage: {bucket: 30s}\n", "is out of range; use 1m to 1d"},
                    Mistake{"usage: {bucket: 60}\n", "write it like 3s, 15m, 24h, 30d"},
                    Mistake{"usage: {keep: 1h}\n", "is out of range; use 1d to 36500d"},
                    Mistake{"usage: {prices: {m: {input: 1}}}\n", "usage.prices.m.output is missing"},
                    Mistake{"usage: {prices: {m: 1}}\n", "usage.prices.m must hold settings"},
                    Mistake{"usage: {prices: {m: {input: -1, output: 1}}}\n", "\"-1\" is no price"},
                    Mistake{"usage: {prices: {m: {input: 1e3, output: 1}}}\n", "\"1e3\" is no price"},
                    Mistake{"usage: {prices: {m: {input: 0.0000001, output: 1}}}\n", "more than 6 decimals"},
                    Mistake{"flush: {interval: 0s}\n", "is out of range; use 1s to 1m"},
                    Mistake{"flush: {rows: 0}\n", "is no whole number from 1 to 1000000"},
                    Mistake{"flush: {rows: 1.5}\n", "is no whole number"},
                    Mistake{"exports: {parallel: many}\n", "is no whole number from 1 to 1000"},
                    Mistake{"exports: {stall: 2h}\n", "use 1s to 1h"},
                    Mistake{"imports: {max_bytes: 1}\n", "is out of range; use 1k to 1t"},
                    Mistake{"imports: {max_bytes: lots}\n", "is no size"},
                    Mistake{"log: {level: loud}\n", "use debug, info, warn or error"},
                    Mistake{"log: {format: xml}\n", "use text or json"}),
    [](const auto& test) { return "Mistake" + std::to_string(test.index); });

// yaml-cpp takes what begins no document for one, and that again and again.
TEST(Settings, WhatBeginsNoDocumentIsNoYaml) {
    for (const char* const begin : {",", "]", "}", ", output: 2}\n"}) {
        const std::string said = complaint(begin + kNeeded);
        EXPECT_TRUE(said.starts_with("apikeyd.yaml:")) << said;
        EXPECT_NE(said.find("is no valid YAML here"), std::string::npos) << said;
    }
    for (const char* const yaml : {"{a: b}, c\n", "---\n,\n"})
        EXPECT_NE(complaint(yaml).find("more than one YAML document"), std::string::npos);
}

TEST(Settings, WhatIsMissingIsShownByExample) {
    EXPECT_EQ(complaint("redis: redis://h\nlisten: unix:/s\n"),
              "apikeyd.yaml: postgres is missing; write for example\n    postgres: "
              "postgresql://apikeyd@127.0.0.1/app");
    EXPECT_NE(complaint("postgres: dbname=a\nlisten: unix:/s\n").find("redis is missing"), std::string::npos);
    EXPECT_NE(complaint("postgres: dbname=a\nredis: redis://h\n").find("listen is missing"), std::string::npos);
    EXPECT_EQ(complaint("postgres: dbname=a\nredis: redis://h\nlisen: unix:/s\n"),
              "apikeyd.yaml:3: lisen: is no setting; did you mean \"listen\"?");
    EXPECT_NE(complaint("").find("is empty"), std::string::npos);
    EXPECT_NE(complaint("# nothing\n").find("is empty"), std::string::npos);
    EXPECT_NE(complaint("just words\n").find("apikeyd.yaml: the file must hold settings"), std::string::npos);
    const std::string open = complaint(kNeeded + "log: {level: info\n");
    EXPECT_TRUE(open.starts_with("apikeyd.yaml:")) << open;
    EXPECT_NE(open.find("is no valid YAML here"), std::string::npos) << open;
    EXPECT_NE(complaint(kNeeded + "---\n" + kNeeded).find("more than one YAML document"), std::string::npos);
}

TEST(Settings, ListenIsAUnixSocketThatFits) {
    const std::string before = "postgres: dbname=a\nredis: redis://h\nlisten: ";
    for (const std::string& listen : {std::string("127.0.0.1:80"), std::string("\"unix:\""),
                                      std::string("unix:relative"), "unix:/" + std::string(107, 'x')}) {
        EXPECT_TRUE(complaint(before + listen + "\n").starts_with("apikeyd.yaml:3: listen: ")) << listen;
    }
    good(before + "unix:/" + std::string(106, 'x') + "\n");
}

// No complaint repeats a password.
TEST(Settings, PasswordsStayOut) {
    const std::string rest = "listen: unix:/s\n";
    for (const char* line :
         {"redis: redis://:hunter2@[::1\npostgres: dbname=a\n", "redis: http://u:hunter2@h\n",
          "redis: rediss://:hunter2@h:port\n", "redis: redis://:hunter2@h:port\n",
          "redis: redis://h\npostgres: postgresql://u:p@hunter2@h/db\n",
          "redis: redis://h\npostgres: host=h password=hunter2 oops\n", "redis: redis://h\npostgres: hunter2\n"}) {
        const std::string said = complaint(
            rest + line + (std::string(line).find("postgres") == std::string::npos ? "postgres: dbname=a\n" : ""));
        EXPECT_EQ(said.find("hunter2"), std::string::npos) << said;
        EXPECT_TRUE(said.starts_with("apikeyd.yaml:")) << said;
    }
}

TEST(Settings, AuthoritiesAreForTls) {
    const std::string tls = "postgres: dbname=a\nlisten: unix:/s\nredis: rediss://h\n";
    EXPECT_TRUE(good(tls).redis.tls);
    EXPECT_EQ(good(tls).redis_ca_file, "");
    const std::string garbage = testing::TempDir() + "apikeyd_settings_ca";
    std::ofstream(garbage) << "no certificate\n";
    EXPECT_EQ(complaint(tls + "redis_ca_file: " + garbage + "\n")
                  .find("apikeyd.yaml:4: redis_ca_file: \"" + garbage + "\" cannot be used ("),
              0U);
    std::remove(garbage.c_str());
    EXPECT_NE(complaint(tls + "redis_ca_file: " + garbage + "\n").find("No such file or directory"), std::string::npos);
    EXPECT_NE(complaint(tls + "redis_ca_file: ca.pem\n").find("no absolute path"), std::string::npos);
    EXPECT_NE(complaint(kNeeded + "redis_ca_file: " + garbage + "\n").find("redis has no TLS; write rediss://"),
              std::string::npos);
}

TEST(Settings, FilesAreReadWhereTheyAreNamed) {
    const std::string secret = testing::TempDir() + "apikeyd_settings_secret";
    std::ofstream(secret) << "s3cret\n";
    EXPECT_EQ(good(kNeeded + "secret_file: " + secret + "\n").secret_file, secret);
    std::remove(secret.c_str());
    const auto missing = load_settings("/nonexistent/apikeyd.yaml");
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().find("--config"), std::string::npos);
}

}  // namespace
}  // namespace apikey
