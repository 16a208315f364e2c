#include "sidecar/doctor/redis_questions.hpp"

#include "sidecar/doctor/redis_judge.hpp"

namespace apikey::doctor {

std::optional<std::string> RedisQuestions::ask(Arguments arguments, const Use& use) {
    std::optional<std::string> refused;
    client_.send(arguments);
    client_.exchange([&](std::size_t, const redis::ReplyView& reply) {
        if (reply.is(redis::ReplyType::error)) {
            refused = reply.text();
        } else {
            use(reply);
        }
    });
    return refused;
}

bool RedisQuestions::ask_for(const char* check, const char* right, Arguments arguments, const Use& use) {
    const auto refused = ask(arguments, use);
    if (refused) refuse(check, right, *refused);
    return !refused;
}

void RedisQuestions::refuse(const char* check, const char* right, const std::string& error_text) {
    const std::string user = settings_.redis.user.empty() ? "default" : settings_.redis.user;
    judge_refusal({check, right, user, settings_.redis_prefix}, error_text, findings_);
}

}  // namespace apikey::doctor
