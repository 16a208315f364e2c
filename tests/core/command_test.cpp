#include "core/redis/command.hpp"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/core/allocations.hpp"

namespace apikey::redis {
namespace {

using Arguments = std::vector<std::string>;

void append(std::string& out, const Arguments& arguments) {
    const std::vector<std::string_view> views(arguments.begin(), arguments.end());
    append_command(out, views);
}

// What a Redis server reads: each command is an array of bulk strings.
std::vector<Arguments> parse(const std::string& bytes) {
    const std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader(redisReaderCreate(), redisReaderFree);
    EXPECT_EQ(redisReaderFeed(reader.get(), bytes.data(), bytes.size()), REDIS_OK);
    std::vector<Arguments> commands;
    void* reply = nullptr;
    while (redisReaderGetReply(reader.get(), &reply) == REDIS_OK && reply != nullptr) {
        const std::unique_ptr<redisReply, decltype(&freeReplyObject)> array(static_cast<redisReply*>(reply),
                                                                            freeReplyObject);
        Arguments arguments;
        for (std::size_t i = 0; i < array->elements; ++i) {
            EXPECT_EQ(array->element[i]->type, REDIS_REPLY_STRING);
            arguments.emplace_back(array->element[i]->str, array->element[i]->len);
        }
        commands.push_back(std::move(arguments));
    }
    EXPECT_EQ(reader->err, 0) << reader->errstr;
    return commands;
}

TEST(Command, IsAnArrayOfBulkStrings) {
    std::string out = "before";
    append_command(out, {"HMGET", "apikey:k:ab", ""});
    EXPECT_EQ(out, "before*3\r\n$5\r\nHMGET\r\n$11\r\napikey:k:ab\r\n$0\r\n\r\n");
}

TEST(Command, ComesBackAsItWasWhateverItsBytes) {
    std::mt19937 random(14);
    for (int i = 0; i < 2'000; ++i) {
        std::vector<Arguments> commands(1 + random() % 4);
        std::string out;
        for (Arguments& arguments : commands) {
            arguments.resize(1 + random() % 12);
            for (std::string& argument : arguments) {
                argument.resize(random() % 40);
                for (char& c : argument)
                    c = static_cast<char>(random());
            }
            append(out, arguments);
        }
        ASSERT_EQ(parse(out), commands);
    }
}

TEST(Command, CannotBeSmuggledInAnArgument) {
    const Arguments get = {"GET", "x\r\n*1\r\n$8\r\nFLUSHALL\r\n"};
    std::string out;
    append(out, get);
    EXPECT_EQ(parse(out), std::vector<Arguments>{get});
}

TEST(Command, TakesLongArguments) {
    for (const std::size_t length : {9U, 10U, 99U, 100U, 99'999U, 100'000U, 1'000'000U}) {
        const Arguments set = {"SET", "k", std::string(length, 'v')};
        std::string out;
        append(out, set);
        ASSERT_EQ(parse(out), std::vector<Arguments>{set}) << length;
    }
}

TEST(Command, AllocatesOnlyToGrowTheOutput) {
    const std::string key(73, 'k');
    std::string out;
    out.reserve(1024);
    EXPECT_EQ(test::allocations_of([&] { append_command(out, {"HMGET", key, "hash", "id"}); }), 0u);
}

}  // namespace
}  // namespace apikey::redis
