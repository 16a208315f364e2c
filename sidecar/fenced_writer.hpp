// Writes to Redis that only the leader can make (DESIGN §4.5). A process that was stopped for a minute and
// wakes up in the middle writes nothing: each write is executed only if apikey:leader still is our token.
//
//   write()   WATCH apikey:leader, read it, and only if it is our token MULTI ... EXEC: either it reads another
//             token, or the key changed under the WATCH and EXEC does nothing.
//   remove()  a script that reads the token itself. A full Redis refuses every command inside MULTI, a DEL too,
//             but lets a script delete: revocations need no memory.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/redis_client.hpp"

namespace apikey {

class FencedWriter {
  public:
    enum class Outcome : unsigned char {
        written,
        full  // Redis has no memory for it; nothing of it was done
    };

    FencedWriter(RedisClient& redis, std::string leader_key, std::string token)
        : redis_(redis), leader_key_(std::move(leader_key)), token_(std::move(token)) {}

    // `fill` sends the commands, all of which or none are executed. It may be called again: our own lease
    // thread renews the key, and a renewal between WATCH and EXEC looks like any other change.
    // Throws LeadershipLost, RedisError.
    Outcome write(const std::function<void(RedisClient&)>& fill);

    // Deletes `keys`, then publishes `messages` on `channel`. Throws LeadershipLost, RedisError.
    void remove(const std::vector<std::string>& keys, const std::string& channel,
                const std::vector<std::string>& messages);

  private:
    enum class Exec : unsigned char { done, interrupted, full };

    // Watches and reads the key; also sent behind each EXEC, so that the next write needs one round trip.
    void send_watch();
    Exec execute(const std::function<void(RedisClient&)>& fill);

    RedisClient& redis_;
    std::string leader_key_;
    std::string token_;
    bool watching_ = false;
    std::string leader_;  // as read under the WATCH
};

}  // namespace apikey
