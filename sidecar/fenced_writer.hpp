// Writes to Redis that only the leader can make (DESIGN §4.5). A process that was stopped for a minute and
// wakes up in the middle writes nothing: each write is executed only if apikey:leader still is our token.
//
//   write()   WATCH apikey:leader, read it, and only if it is our token MULTI ... EXEC: either it reads another
//             token, or the key changed under the WATCH and EXEC does nothing.
//   remove()  a script that reads the token itself. A full Redis refuses every command inside MULTI, a DEL too,
//             but lets a script delete: revocations need no memory.
//
// What is published goes out in the same step as the write, and so is apikey:workers read: whoever registers later has
// a subscription that is younger than the change, and nothing cached that is older.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/names.hpp"
#include "sidecar/membership.hpp"
#include "sidecar/redis_client.hpp"

namespace apikey {

class FencedWriter {
  public:
    enum class Outcome : unsigned char {
        written,
        full  // Redis has no memory for it; nothing of it was done
    };
    using Messages = std::vector<std::string>;  // for apikey:changed, in this order
    static constexpr std::chrono::minutes kRemember{1};

    // `names` must outlive it.
    FencedWriter(RedisClient& redis, const redis::Names& names, std::string token)
        : redis_(redis), names_(names), token_(std::move(token)) {}

    // `fill` sends the commands, all of which or none are executed, then `messages` are published. It may be called
    // again: our own lease thread renews the key, and a renewal between WATCH and EXEC looks like any other change.
    // Fills in `workers` where there are messages. Throws LeadershipLost, RedisError.
    Outcome write(const std::function<void(RedisClient&)>& fill, const Messages& messages, Membership& workers);

    // Deletes `keys`, then publishes `messages`; gives the workers. Throws LeadershipLost, RedisError.
    Membership remove(const std::vector<std::string>& keys, const Messages& messages);

    // Reads apikey:workers, and takes off it whose lease had ended kRemember before both now and `earlier`, a time that
    // Redis' clock said before (ms; 0: nobody). Also repairs it where it is no sorted set. Throws as above.
    Membership read_workers(std::int64_t earlier);

  private:
    enum class Exec : unsigned char { done, interrupted, full };

    // Watches and reads the key; also sent behind each EXEC, so that the next write needs one round trip.
    void send_watch();
    Exec execute(const std::function<void(RedisClient&)>& fill, const Messages& messages, Membership& workers);
    Membership run_script(std::span<const std::string_view> command);

    RedisClient& redis_;
    const redis::Names& names_;
    std::string token_;
    bool watching_ = false;
    std::string leader_;  // as read under the WATCH
};

}  // namespace apikey
