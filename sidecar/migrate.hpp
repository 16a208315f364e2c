// Brings a database to this program's schema: the migrations that it does not have yet, in order, each in a
// transaction of its own and under a lock, so that two at once do not meet.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace apikey {

struct MigrateOptions {
    bool enable_rls = false;                          // where an application's api_keys has no row-level security
    std::function<void(std::string_view)> on_notice;  // what the database remarks as it goes
};

// The names of the migrations that were applied. Throws PostgresError, SchemaMismatch (a newer database).
std::vector<std::string> migrate(const std::string& dsn, const MigrateOptions& options);

}  // namespace apikey
