// libpq's handles, each with its deleter.
#pragma once

#include <libpq-fe.h>

#include <memory>

namespace apikey {

struct PgDeleter {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
    void operator()(PGresult* result) const noexcept { PQclear(result); }
    void operator()(PGnotify* notification) const noexcept { PQfreemem(notification); }
    void operator()(char* text) const noexcept { PQfreemem(text); }
};
using PgConn = std::unique_ptr<PGconn, PgDeleter>;
using PgResult = std::unique_ptr<PGresult, PgDeleter>;
using PgNotify = std::unique_ptr<PGnotify, PgDeleter>;
using PgText = std::unique_ptr<char, PgDeleter>;  // one that libpq made

}  // namespace apikey
