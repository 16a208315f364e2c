// The peer of apikeyd's full pass: copies every active key from Postgres into an empty Redis, as fast as one simple client can. COPY on
// the one side, pipelined HSET on the other. No promises: whoever else writes meanwhile, or leads, is not noticed, and what Redis refuses
// ends it.
//
//     bench_raw_sync DSN REDIS_SOCKET
//
// Prints `result KEYS MICROSECONDS`.
#include <hiredis/hiredis.h>
#include <libpq-fe.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/key_facts.hpp"

namespace {

using apikey::kFactFields;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 1000;  // Redis works on one while the next one is made
constexpr std::string_view kKeyPrefix = "apikey:k:";

// The columns in the order of kFactFields; a null reads as apikeyd writes it.
constexpr const char* kCopy = R"(
COPY (SELECT key_hash, id, user_id, name, prefix, coalesce(array_to_string(scopes, ' '), '*'),
    coalesce(extract(epoch FROM expires_at)::bigint::text, '')
    FROM api_keys WHERE is_active AND revoked_at IS NULL) TO STDOUT)";

[[noreturn]] void fail(const char* what, const char* why) {
    std::fprintf(stderr, "%s: %s\n", what, why);
    std::exit(1);
}

// HSET of one line of COPY, whose columns have nothing that COPY would escape.
void append(redisContext* redis, std::string_view line) {
    static std::string name;
    std::array<const char*, 2 + 2 * kFactFields.size()> words{"HSET"};
    std::array<std::size_t, words.size()> sizes{4};
    for (std::size_t i = 0; i < kFactFields.size(); ++i) {
        const std::string_view value = line.substr(0, line.find_first_of("\t\n"));
        line.remove_prefix(value.size() + 1);
        if (i == 0) name.assign(kKeyPrefix).append(value);
        words[2 + 2 * i] = kFactFields[i].data();
        sizes[2 + 2 * i] = kFactFields[i].size();
        words[3 + 2 * i] = value.data();
        sizes[3 + 2 * i] = value.size();
    }
    words[1] = name.data();
    sizes[1] = name.size();
    if (redisAppendCommandArgv(redis, words.size(), words.data(), sizes.data()) != REDIS_OK)
        fail("Redis", redis->errstr);
}

void push(redisContext* redis) {
    for (int done = 0; done == 0;) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) fail("Redis", redis->errstr);
    }
}

void expect_replies(redisContext* redis, std::size_t count) {
    for (; count > 0; --count) {
        void* reply = nullptr;
        if (redisGetReply(redis, &reply) != REDIS_OK) fail("Redis", redis->errstr);
        const auto* const told = static_cast<redisReply*>(reply);
        if (told->type != REDIS_REPLY_INTEGER) fail("HSET", told->str);
        freeReplyObject(reply);
    }
}

std::size_t copy_keys(PGconn* postgres, redisContext* redis) {
    PGresult* const began = PQexec(postgres, kCopy);
    if (PQresultStatus(began) != PGRES_COPY_OUT) fail("COPY", PQerrorMessage(postgres));
    PQclear(began);
    std::size_t keys = 0;
    std::size_t unanswered = 0;
    char* line = nullptr;
    for (int size = 0; (size = PQgetCopyData(postgres, &line, 0)) > 0; PQfreemem(line)) {
        append(redis, {line, static_cast<std::size_t>(size)});
        if (++keys % kBatch != 0) continue;
        push(redis);
        expect_replies(redis, unanswered);  // of the batch before
        unanswered = kBatch;
    }
    PGresult* const ended = PQgetResult(postgres);
    if (PQresultStatus(ended) != PGRES_COMMAND_OK) fail("COPY", PQerrorMessage(postgres));
    PQclear(ended);
    push(redis);
    expect_replies(redis, unanswered + keys % kBatch);
    return keys;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) fail("bench_raw_sync DSN REDIS_SOCKET", "");
    PGconn* const postgres = PQconnectdb(argv[1]);
    if (PQstatus(postgres) != CONNECTION_OK) fail("no connection", PQerrorMessage(postgres));
    redisContext* const redis = redisConnectUnix(argv[2]);
    if (redis == nullptr || redis->err != 0) fail("no connection", redis == nullptr ? "" : redis->errstr);
    const Clock::time_point began = Clock::now();
    const std::size_t keys = copy_keys(postgres, redis);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
    std::printf("result %zu %lld\n", keys, static_cast<long long>(took.count()));
    redisFree(redis);
    PQfinish(postgres);
}
