// One connection to Postgres, blocking, with deadlines.
//
// Every session is set to the same dialect whatever the role, database or server says (UTF8, ISO dates, UTC;
// hazard G16), so that what is read has one form. A dead server is noticed by keepalives within about 8 s.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/event_fd.hpp"
#include "sidecar/handles.hpp"

namespace apikey {

// What came over LISTEN.
struct PgNotification {
    std::string channel;
    std::string payload;
};

class Postgres {
  public:
    // libpq has a shorter one for each address; this is for names that cannot be looked up.
    static constexpr std::chrono::seconds kConnectTimeout{60};
    static constexpr std::chrono::seconds kLockTimeout{2};
    static constexpr std::chrono::seconds kStatementTimeout{10};
    // The server ends a statement first; this is for one that does not answer at all.
    static constexpr std::chrono::seconds kAnswerTimeout{12};

    struct Options {
        const char* application = "apikeyd";
        const char* servers = "primary";  // target_session_attrs, unless the connection string says otherwise
        std::chrono::seconds lock_timeout = kLockTimeout;
        std::chrono::seconds statement_timeout = kStatementTimeout;
        std::chrono::seconds answer_timeout = kAnswerTimeout;
        const EventFd* stop = nullptr;                    // waits end with Stopped when it is set
        std::chrono::seconds stop_grace{0};               // and this has passed
        std::function<void(std::string_view)> on_notice;  // what the server remarks (RAISE NOTICE)
    };
    using Parameter = std::optional<std::string>;  // nullopt: NULL

    // Connects to the first server of `dsn` that can be written to. Throws PostgresError, Stopped.
    Postgres(const std::string& dsn, Options options);
    Postgres(const Postgres&) = delete;
    Postgres& operator=(const Postgres&) = delete;

    // One statement with $1, $2, … Throws PostgresError, Stopped, PeerGone.
    PgResult query(const char* sql, const std::vector<Parameter>& parameters = {});
    // The same in two steps, so that the server works while the caller does something else. Between them
    // nothing else may be asked; notifications may be taken.
    void start(const char* sql, const std::vector<Parameter>& parameters);
    PgResult finish() { return collect(options_.answer_timeout); }
    // The same with another deadline than answer_timeout.
    PgResult query_within(std::chrono::milliseconds most, const char* sql,
                          const std::vector<Parameter>& parameters = {});
    // Any number of statements without parameters.
    void execute(const std::string& sql);
    // The same, and wherever they say COPY ... FROM STDIN, the next of `copies` is what the server reads. All results, in order.
    // The server has all statements from the start: after the last copy it waits for nothing of ours.
    using CopyText = std::function<std::string_view()>;  // the next piece, valid until the next call; empty: the end
    std::vector<PgResult> execute_with(const std::string& sql, const std::vector<CopyText>& copies);
    // One COPY ... TO STDOUT: a call for each row, as the server sends it, with its line's end. No more than one row is held,
    // however slow `on_row` is: then the server waits. `silence`: how long it may send nothing. What `on_row` throws ends it in
    // the midst of the copy: cancel(), and throw the connection away.
    void copy_out(const std::string& sql, std::chrono::milliseconds silence,
                  const std::function<void(std::string_view)>& on_row);

    // Asks the server to end what it does for this connection, and waits for no more than a second until it has heard.
    void cancel() noexcept;
    // Whether the server still works on something, or its answer has not been read.
    [[nodiscard]] bool is_busy() const noexcept { return PQtransactionStatus(connection_.get()) == PQTRANS_ACTIVE; }
    // Whether it is in no transaction and works on nothing: somebody else may have it.
    [[nodiscard]] bool is_idle() const noexcept { return PQtransactionStatus(connection_.get()) == PQTRANS_IDLE; }
    // From now on every wait ends with PeerGone when whoever is at the other end of this socket has closed it, or its sending
    // side. -1: nobody. The descriptor stays its owner's.
    void give_up_with(int peer) noexcept { peer_ = peer; }

    // What has arrived, without waiting. Throws PostgresError when the connection is gone.
    std::vector<PgNotification> take_notifications();
    // What arrives before an answer is handed over while that is waited for, instead of being kept, however much it is.
    // `on_notification` must not ask anything. Empty: as before.
    void hear(std::function<void(const PgNotification&)> on_notification) { hear_ = std::move(on_notification); }
    // Readable when something may have arrived.
    [[nodiscard]] int socket() const noexcept { return PQsocket(connection_.get()); }

    // What the server said of itself last; a pooler in between may have kept that to itself.
    [[nodiscard]] bool may_be_standby() const noexcept;
    // Where it is connected to and as whom, without the password: user@host:port/database.
    [[nodiscard]] std::string display() const;
    // The server process that libpq was told of at the start; a pooler in between makes one up.
    [[nodiscard]] int backend_pid() const noexcept { return PQbackendPID(connection_.get()); }

  private:
    PgResult collect(std::chrono::milliseconds most);
    void wait_for_answer(std::chrono::milliseconds most);
    void wait_for_input(std::chrono::milliseconds most, std::chrono::steady_clock::time_point end);
    void expect_copy_out();
    void copy_in(const CopyText& text);
    void flush();
    // Throws Stopped when it is time to.
    void heed_stop();
    std::optional<PgNotification> next_notification();
    [[noreturn]] void fail() const;

    Options options_;
    PgConn connection_;
    std::function<void(const PgNotification&)> hear_;
    int peer_ = -1;
    std::optional<std::chrono::steady_clock::time_point> last_moment_;  // once `stop` was seen to be set
};

// Ends with ROLLBACK unless commit() was called. An error in it leaves the connection unusable for others:
// throw it away with the transaction.
class Transaction {
  public:
    explicit Transaction(Postgres& postgres) : postgres_(postgres) { postgres_.execute("BEGIN"); }
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

  private:
    Postgres& postgres_;
    bool open_ = true;
};

// A cell of a result; NULL reads as empty.
inline std::string_view cell(const PgResult& result, int row, int column) {
    return {PQgetvalue(result.get(), row, column), static_cast<std::size_t>(PQgetlength(result.get(), row, column))};
}
inline bool is_null(const PgResult& result, int row, int column) {
    return PQgetisnull(result.get(), row, column) != 0;
}
inline int rows(const PgResult& result) {
    return PQntuples(result.get());
}

// Of a list that is read in pages: of `limit` rows one more was asked for, which tells whether there are any behind them.
struct PageRows {
    int rows = 0;
    bool more = false;
};
inline PageRows page_rows(const PgResult& result, std::uint64_t limit) {
    const bool more = static_cast<std::uint64_t>(rows(result)) > limit;
    return {rows(result) - (more ? 1 : 0), more};
}

}  // namespace apikey
