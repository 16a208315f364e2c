#include "core/usage/spool_file.hpp"

#include <gtest/gtest.h>

#include <string>

namespace apikey::usage {
namespace {

const std::string kZone = "0123456789abcdef0123456789abcdef";

SpooledBatch example() {
    return {{kZone, 3, 41}, 1'795'831'507'123, "k\t2026-11-28T02:05:07.123Z\n", "u\tk\t…\n\n"};
}

TEST(SpoolFile, GivesBackWhatWasWritten) {
    const SpooledBatch batch = example();
    const std::string file = spool_file(batch);
    const auto read = parse_spool_file(file);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, batch.id);
    EXPECT_EQ(read->sealed, batch.sealed);
    EXPECT_EQ(read->keys, batch.keys);
    EXPECT_EQ(read->rows, batch.rows);
}

TEST(SpoolFile, EmptyPartsAreParts) {
    SpooledBatch batch = example();
    batch.rows = "";
    EXPECT_TRUE(parse_spool_file(spool_file(batch)));
    batch.keys = "";
    EXPECT_TRUE(parse_spool_file(spool_file(batch)));
}

TEST(SpoolFile, IsWholeOrNone) {
    const std::string file = spool_file(example());
    for (std::size_t size = 0; size < file.size(); ++size)
        EXPECT_FALSE(parse_spool_file(file.substr(0, size))) << size;
    EXPECT_FALSE(parse_spool_file(file + "x"));
}

TEST(SpoolFile, RefusesOtherForms) {
    EXPECT_FALSE(parse_spool_file("api-key-usage 2 " + kZone + " 3 41 5 0 0\n"));
    EXPECT_FALSE(parse_spool_file("api-key-usage 1 " + kZone + " 3 41 5 0\n"));
    EXPECT_FALSE(parse_spool_file("api-key-usage 1 " + kZone + " 3 41 5 0 0 \n"));
    EXPECT_FALSE(parse_spool_file("api-key-usage 1 " + kZone + " 3 41 5 0 0 0\n"));
    EXPECT_FALSE(parse_spool_file("api-key-usage 1 " + kZone + " 3 41 -5 0 0\n"));
    EXPECT_FALSE(parse_spool_file("api-key-usage 1 " + kZone + " 3 41 5 18446744073709551615 1\n"));
    EXPECT_FALSE(parse_spool_file("api-key-usage 1 " + kZone + "  41 5 0 0\n"));
    EXPECT_TRUE(parse_spool_file("api-key-usage 1 " + kZone + " 3 41 5 0 0\n"));
}

TEST(SpoolName, DraftsAreNoFiles) {
    const std::string draft = spool_draft_name({kZone, 3, 41}, 17);
    EXPECT_EQ(draft, kZone + "-3-41.usage.17.tmp");
    EXPECT_TRUE(is_spool_draft_name(draft));
    EXPECT_FALSE(parse_spool_name(draft));
    for (const char* suffix :
         {"-3-41.usage", "-3-41.usage.tmp", "-3-41.usage.x.tmp", "-3-41.17.tmp", "-3-41.usage.17.bad"})
        EXPECT_FALSE(is_spool_draft_name(kZone + suffix)) << suffix;
    EXPECT_FALSE(is_spool_draft_name(".tmp"));
}

TEST(SpoolName, NamesTheBatch) {
    const BatchId id{kZone, 3, 41};
    EXPECT_EQ(spool_name(id), kZone + "-3-41.usage");
    EXPECT_EQ(parse_spool_name(spool_name(id)), id);
    for (const char* suffix : {"-3-41.usage.bad", "-3-41.usage.17.tmp", "-3-41", "-3.usage", "-3-041.usage",
                               " 3 41.usage", "-3--41.usage", "-3-41-5.usage"})
        EXPECT_FALSE(parse_spool_name(kZone + suffix)) << suffix;
}

}  // namespace
}  // namespace apikey::usage
