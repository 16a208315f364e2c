#include <gtest/gtest.h>

#include "core/redis/names.hpp"
#include "sidecar/redis_client.hpp"
#include "sidecar/schema.hpp"

namespace apikey {
namespace {

TEST(Explain, NamesTheCauseAndWhatToDo) {
    EXPECT_NE(explain("NOAUTH Authentication required.").find("redis_password_file"), std::string::npos);
    EXPECT_NE(explain("READONLY You can't write against a read only replica.").find("master"), std::string::npos);
    EXPECT_NE(explain("OOM command not allowed when used memory > 'maxmemory'.").find("maxmemory"), std::string::npos);
    EXPECT_NE(explain("NOPERM this user has no permissions to run the 'set' command").find("ACL"), std::string::npos);
    EXPECT_EQ(explain("CLUSTERDOWN Hash slot not served"), "Redis answered CLUSTERDOWN");
}

// Redis repeats arguments in some messages, and those can hold a key's hash.
TEST(Explain, RepeatsNothingButTheCode) {
    const std::string hash(64, 'c');
    EXPECT_EQ(explain("ERR unknown command 'HSETT', with args beginning with: 'apikey:k:" + hash + "'"),
              "Redis answered ERR");
}

TEST(RedisNames, AreUnderThePrefix) {
    const redis::Names names("p:");
    EXPECT_EQ(names.key("abc"), "p:k:abc");
    EXPECT_EQ(names.epoch, "p:epoch");
    EXPECT_EQ(names.leader, "p:leader");
    EXPECT_EQ(names.changed, "p:changed");
    EXPECT_EQ(names.applied, "p:applied");
    EXPECT_EQ(names.workers, "p:workers");
    EXPECT_EQ(names.usage, "p:usage");
    EXPECT_EQ(names.usage_dead, "p:usage:dead");
}

TEST(Migrations, AreEmbeddedInOrder) {
    ASSERT_FALSE(migrations().empty());
    int before = 0;
    for (const Migration& migration : migrations()) {
        EXPECT_EQ(migration.version, ++before) << migration.name;
        EXPECT_NE(migration.sql.find("INSERT INTO apikey_schema"), std::string_view::npos) << migration.name;
        EXPECT_EQ(migration.sql.find("\n\\"), std::string_view::npos) << "no psql commands";
    }
    EXPECT_EQ(schema_version(), before);
}

}  // namespace
}  // namespace apikey
