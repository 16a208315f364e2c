// The database schema that this program was built for (db/migrations).
#pragma once

#include <span>
#include <string_view>

#include "sidecar/postgres.hpp"

namespace apikey {

struct Migration {
    int version;
    std::string_view name;  // the file's, e.g. 001_api_keys
    std::string_view sql;
};

// All of db/migrations, in order; embedded when the program was built.
std::span<const Migration> migrations();
// The last of them.
int schema_version();

// The version that the database has; 0: none.
int applied_version(Postgres& postgres);

// Throws SchemaMismatch, with what to do, unless the database has exactly schema_version().
void require_schema(Postgres& postgres);

}  // namespace apikey
