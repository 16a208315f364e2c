// What the first commands on a new connection to Redis have in common: who we are, and which Redis it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/redis/reply.hpp"

namespace apikey::redis {

// The words of AUTH, views of the arguments; none where there is no password. `user` empty: the default user.
std::vector<std::string_view> auth_command(std::string_view user, std::string_view password);

// The run_id in Redis' reply to INFO server: the name of this very process. Empty where there is none.
std::string_view run_id_of(const ReplyView& info) noexcept;

// Redis' own words of refusal, fit for a log line. Everything that it repeats of a command stands in quotes, and
// whatever else is secret has a digit somewhere: both end the text. Where that would end it too soon, words of ours.
std::string plain_words(std::string_view error_text);

}  // namespace apikey::redis
