#include "core/redis/url.hpp"

#include <gtest/gtest.h>

namespace apikey::redis {
namespace {

TEST(RedisUrl, WithTlsSaysTheSame) {
    for (const bool tls : {false, true}) {
        const std::string scheme = tls ? "rediss://" : "redis://";
        const auto url = parse_url(scheme + "joe:p%40ss@redis.example.com:6380/3");
        ASSERT_TRUE(url.ok()) << url.error();
        EXPECT_EQ(url->tls, tls);
        EXPECT_EQ(url->user, "joe");
        EXPECT_EQ(url->password, "p@ss");
        EXPECT_EQ(url->host, "redis.example.com");
        EXPECT_EQ(url->port, 6380);
        EXPECT_EQ(url->database, 3);
        EXPECT_EQ(display(*url), scheme + "redis.example.com:6380/3") << "the scheme tells, the password does not";
    }
    EXPECT_EQ(display(*parse_url("rediss://[::1]")), "rediss://[::1]:6379/0");
}

TEST(RedisUrl, OfASocketHasNoTls) {
    const auto url = parse_url("unix:/run/redis.sock?db=2");
    ASSERT_TRUE(url.ok()) << url.error();
    EXPECT_FALSE(url->tls);
    EXPECT_EQ(display(*url), "unix:/run/redis.sock?db=2");
}

TEST(RedisUrl, SaysWhatToWriteInstead) {
    for (const char* wrong :
         {"rediss:/h", "rediss:h", "REDISS://h", "http://h", "rediss://", "rediss://h:0", "rediss://h:x",
          "rediss://[::1", "rediss://h/x", "rediss://a:%zz@h", "rediss:// h", "unix:rel"}) {
        const auto url = parse_url(wrong);
        ASSERT_FALSE(url.ok()) << wrong;
        EXPECT_NE(url.error().find("write redis://[user[:password]@]host"), std::string::npos) << url.error();
    }
}

}  // namespace
}  // namespace apikey::redis
