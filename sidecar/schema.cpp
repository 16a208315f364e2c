#include "sidecar/schema.hpp"

#include <charconv>
#include <string>

#include "sidecar/keys/key_row.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

constexpr std::string_view kUndefinedColumn = "42703";
constexpr std::string_view kUndefinedTable = "42P01";

}  // namespace

int schema_version() {
    return migrations().back().version;
}

int applied_version(Postgres& postgres) {
    const PgResult there = postgres.query("SELECT to_regclass('apikey_schema') IS NOT NULL");
    if (cell(there, 0, 0) != "t") return 0;
    const PgResult result = postgres.query("SELECT coalesce(max(version), 0) FROM apikey_schema");
    int version = 0;
    const std::string_view text = cell(result, 0, 0);
    std::from_chars(text.data(), text.data() + text.size(), version);
    return version;
}

void require_schema(Postgres& postgres) {
    const int version = applied_version(postgres);
    const std::string ours = std::to_string(schema_version());
    if (version == 0) {
        throw SchemaMismatch("the database has no schema of ours (on this role's search_path)",
                             "run \"apikeyctl migrate\" as the owner of api_keys");
    }
    if (version < schema_version()) {
        throw SchemaMismatch(
            "the database has schema version " + std::to_string(version) + ", this program needs " + ours,
            "run \"apikeyctl migrate\"");
    }
    if (version > schema_version()) {
        throw SchemaMismatch(
            "the database has schema version " + std::to_string(version) + ", this program knows " + ours,
            "install the newer apikeyd");
    }
    try {
        postgres.query((std::string("SELECT ") + kKeyRowColumns + " FROM api_keys LIMIT 0").c_str());
    } catch (const PostgresError& error) {
        if (error.sqlstate() != kUndefinedColumn && error.sqlstate() != kUndefinedTable) throw;
        throw SchemaMismatch("the database says it has schema version " + ours + ", but " + error.what(),
                             "add what is missing (docs/operations.md lists the columns)");
    }
}

}  // namespace apikey
