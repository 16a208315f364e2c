// Acting for a user: with no more rights than that user has.
#pragma once

#include <string>

#include "sidecar/postgres.hpp"

namespace apikey {

// From here to the end of the transaction that has begun: as apikey_user, to which row-level security shows this user's rows alone.
// Throws PostgresError.
void become_user(Postgres& postgres, const std::string& user);

}  // namespace apikey
