// The one transaction in which an import goes into the tables.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "sidecar/imports/import.hpp"

namespace apikey {

class ImportTransaction {
  public:
    // A large import takes its time, and so does waiting for another one of the same user's.
    static constexpr std::chrono::minutes kStatementTimeout{30};
    static constexpr std::chrono::seconds kLockTimeout{60};

    // One at a time for each user, so that the same file sent twice at once is imported once. Throws PostgresError.
    ImportTransaction(Postgres& postgres, const std::string& user);

    // Makes temporary tables (`tables` says how) and fills them; `copies` as in Postgres::execute_with.
    void fill(const std::string& tables, const std::vector<Postgres::CopyText>& copies);
    // From here on as the user.
    void become_user();
    // One statement; $1 is the user.
    PgResult query(const char* sql);
    // The same; how many rows it changed.
    std::uint64_t change(const char* sql);
    void commit() { transaction_.commit(); }

  private:
    Postgres& postgres_;
    const std::string& user_;
    Transaction transaction_;
};

// Reads all of `source`. False: it is malformed, or a row of it is bad; `outcome` says so.
class RowReader;
bool read_rows(ByteSource& source, RowReader& reader, const ImportHooks& hooks, ImportOutcome& outcome);

// Calls `store`, unless `outcome` has errors. What Postgres refuses for its content becomes one.
void store_rows(ImportOutcome& outcome, const std::function<void()>& store);

}  // namespace apikey
