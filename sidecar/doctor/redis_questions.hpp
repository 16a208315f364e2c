// Asks Redis one thing after the other, and makes findings of what it refuses.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/doctor/findings.hpp"
#include "sidecar/redis_client.hpp"
#include "sidecar/settings.hpp"

namespace apikey::doctor {

class RedisQuestions {
  public:
    using Arguments = std::initializer_list<std::string_view>;
    using Use = std::function<void(const redis::ReplyView&)>;

    // All must outlive it.
    RedisQuestions(RedisClient& client, const Settings& settings, Findings& findings)
        : client_(client), settings_(settings), findings_(findings) {}

    // One question. The text of an error reply, or nothing after `use` had the answer. Throws RedisError.
    std::optional<std::string> ask(Arguments arguments, const Use& use);
    // The same where every refusal is the finding. False: it was.
    bool ask_for(const char* check, const char* right, Arguments arguments, const Use& use);
    // The finding for an error reply; `right` is what the ACL must allow.
    void refuse(const char* check, const char* right, const std::string& error_text);

  private:
    RedisClient& client_;
    const Settings& settings_;
    Findings& findings_;
};

}  // namespace apikey::doctor
