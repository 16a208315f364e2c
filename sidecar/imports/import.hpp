// Imports: what the exports wrote is taken back, as the caller's own, whatever the file says (DESIGN §3.3).
//
// The file is read to its end and checked before Postgres is asked for anything: no transaction waits for a slow client. What is
// to go into the tables lies in an unlinked temporary file meanwhile, so that memory does not depend on the size of the import.
#pragma once

#include <functional>
#include <string>

#include "core/transfer/queries.hpp"
#include "sidecar/byte_stream.hpp"
#include "sidecar/imports/import_outcome.hpp"
#include "sidecar/postgres.hpp"

namespace apikey {

struct ImportHooks {
    // Called once, when the file is read and good. The connection must be outside of a transaction.
    std::function<Postgres&()> postgres;
    std::function<void(std::uint64_t rows)> on_rows;  // now and then while the file is read; empty: nobody asks
};

// One transaction: all rows or, with query.dry_run or after an error, none. Throws what `source` and `postgres` throw,
// PostgresError, and std::system_error when there is no room for the temporary file.
ImportOutcome import_usage(ByteSource& source, const std::string& user, const ImportQuery& query,
                           const ImportHooks& hooks);
ImportOutcome import_conversations(ByteSource& source, const std::string& user, const ImportQuery& query,
                                   const ImportHooks& hooks);

}  // namespace apikey
