// The SQL of the exports: all of it runs in a UserSnapshot, whose settings take the place of parameters, which COPY has none of.
//
// Each says `user_id =` and is behind row-level security as well. User and times stand where the planner sees their values; the rest
// is read once, by a subselect. What streams is in an index's order (DESIGN §3.6).
#pragma once

#include <string>

#include "core/transfer/queries.hpp"

namespace apikey {

// Columns: bucket, endpoint, model, status, requests, tokens in, tokens out, cost; ordered by the first four. A line for each key and
// source. Settings: user, from, until, endpoint, model, status, key, as far as `which` has them.
std::string copy_usage(const UsageSelection& which);

// Columns: number of the message in its conversation, from 1; the conversation's id, title, model, metadata, created, updated; the
// message's id, role, content, metadata, created. A line for each message, in order; what is the conversation's, but its id, comes with
// the first alone. A conversation without messages has one line, whose number is NULL. Settings: user, from, until, id.
std::string copy_conversations(const ConversationQuery& query);

}  // namespace apikey
