#include "sidecar/postgres.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "sidecar/own_thread.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Defaults, which the connection string may override: PQconnectdbParams takes the last of two, and expands
// the string where `dbname` stands.
PGconn* open(const std::string& dsn, const Postgres::Options& options) {
    const std::array<const char*, 10> names = {"connect_timeout",           "keepalives_idle",
                                               "keepalives_interval",       "keepalives_count",
                                               "tcp_user_timeout",          "target_session_attrs",
                                               "fallback_application_name", "dbname",
                                               "client_encoding",           nullptr};
    const std::array<const char*, 10> values = {
        "3", "2", "2", "3", "8000", options.servers, options.application, dsn.c_str(), "UTF8", nullptr};
    return PQconnectdbParams(names.data(), values.data(), 1);
}

// A thread of its own, since a name is looked up without regard to connect_timeout.
PgConn connect(const std::string& dsn, const Postgres::Options& options) {
    const std::function<PgConn()> call = [dsn, options] { return PgConn(open(dsn, options)); };
    auto connection = in_own_thread(call, Postgres::kConnectTimeout, options.stop);
    if (options.stop != nullptr && options.stop->is_set()) throw Stopped();
    if (!connection) {
        throw PostgresError("Postgres: no connection within " + std::to_string(Postgres::kConnectTimeout.count()) +
                            " s; can its name be looked up?");
    }
    return std::move(*connection);
}

constexpr int kNobody = -1;  // poll(2) passes it over

std::string one_line(std::string_view text) {
    std::string line(text.substr(0, text.find_last_not_of('\n') + 1));
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::replace(line.begin(), line.end(), '\t', ' ');
    return line;
}

void hand_on_notice(void* receiver, const PGresult* result) {
    const auto& on_notice = *static_cast<std::function<void(std::string_view)>*>(receiver);
    const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (on_notice && message != nullptr) on_notice(message);
}

std::string field(const PGresult* result, int code) {
    const char* text = PQresultErrorField(result, code);
    return text == nullptr ? "" : one_line(text);
}

// The primary message and the hint. Not the detail: that of a unique violation repeats the key's hash.
[[noreturn]] void refuse(const PGresult* result) {
    const std::string sqlstate = field(result, PG_DIAG_SQLSTATE);
    const std::string hint = field(result, PG_DIAG_MESSAGE_HINT);
    std::string message = "Postgres: " + field(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!sqlstate.empty()) message += " (" + sqlstate + ")";
    if (!hint.empty()) message += ". " + hint;
    throw PostgresError(message, sqlstate);
}

bool succeeded(const PGresult* result) {
    const ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

std::string session_settings(const Postgres::Options& options) {
    return "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; "
           "SET extra_float_digits = 1; SET standard_conforming_strings = on; SET bytea_output = 'hex'; "
           "SET row_security = on; SET default_transaction_isolation = 'read committed'; "
           "SET default_transaction_read_only = off; SET idle_session_timeout = 0; "  // whoever listens is idle
           "SET lock_timeout = '" +
           std::to_string(options.lock_timeout.count()) + "s'; SET statement_timeout = '" +
           std::to_string(options.statement_timeout.count()) + "s'";
}

}  // namespace

Postgres::Postgres(const std::string& dsn, Options options)
    : options_(std::move(options)), connection_(connect(dsn, options_)) {
    if (!connection_) throw std::bad_alloc();
    if (PQstatus(connection_.get()) != CONNECTION_OK) fail();
    PQsetNoticeReceiver(connection_.get(), hand_on_notice, &options_.on_notice);
    execute(session_settings(options_));
}

PgResult Postgres::query(const char* sql, const std::vector<Parameter>& parameters) {
    start(sql, parameters);
    return finish();
}

void Postgres::start(const char* sql, const std::vector<Parameter>& parameters) {
    std::vector<const char*> values;
    values.reserve(parameters.size());
    for (const Parameter& parameter : parameters)
        values.push_back(parameter ? parameter->c_str() : nullptr);
    if (PQsendQueryParams(connection_.get(), sql, static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                          nullptr, 0) == 0) {
        fail();
    }
}

PgResult Postgres::query_within(milliseconds most, const char* sql, const std::vector<Parameter>& parameters) {
    start(sql, parameters);
    return collect(most);
}

void Postgres::execute(const std::string& sql) {
    if (PQsendQuery(connection_.get(), sql.c_str()) == 0) fail();
    collect(options_.answer_timeout);
}

PgResult Postgres::collect(milliseconds most) {
    PgResult last;
    PgResult refused;
    for (;;) {
        wait_for_answer(most);
        PgResult result(PQgetResult(connection_.get()));
        if (!result) break;
        if (!succeeded(result.get()) && !refused) {
            refused = std::move(result);
        } else {
            last = std::move(result);
        }
    }
    if (refused) {
        if (PQstatus(connection_.get()) != CONNECTION_OK) fail();
        refuse(refused.get());
    }
    if (!last) fail();
    return last;
}

std::vector<PgResult> Postgres::execute_with(const std::string& sql, const std::vector<CopyText>& copies) {
    if (PQsendQuery(connection_.get(), sql.c_str()) == 0) fail();
    std::vector<PgResult> results;
    PgResult refused;
    for (auto next_copy = copies.begin();;) {
        wait_for_answer(options_.answer_timeout);
        PgResult result(PQgetResult(connection_.get()));
        if (!result) break;
        if (PQresultStatus(result.get()) == PGRES_COPY_IN) {
            copy_in(next_copy == copies.end() ? [] { return std::string_view(); } : *next_copy++);
        } else if (succeeded(result.get())) {
            results.push_back(std::move(result));
        } else if (!refused) {
            refused = std::move(result);
        }
    }
    if (PQstatus(connection_.get()) != CONNECTION_OK) fail();
    if (refused) refuse(refused.get());
    return results;
}

// Without blocking, since a server that hangs does not read.
void Postgres::copy_in(const CopyText& text) {
    if (PQsetnonblocking(connection_.get(), 1) != 0) fail();
    for (std::string_view piece = text(); !piece.empty(); piece = text()) {
        if (PQputCopyData(connection_.get(), piece.data(), static_cast<int>(piece.size())) != 1) fail();
        flush();
    }
    if (PQputCopyEnd(connection_.get(), nullptr) != 1) fail();
    flush();
    if (PQsetnonblocking(connection_.get(), 0) != 0) fail();
}

// libpq reads only when it has no whole row left, so that its buffer does not grow while `on_row` takes its time.
void Postgres::copy_out(const std::string& sql, milliseconds silence,
                        const std::function<void(std::string_view)>& on_row) {
    constexpr int kAllRead = -1;
    if (PQsendQuery(connection_.get(), sql.c_str()) == 0) fail();
    wait_for_answer(silence);
    expect_copy_out();
    for (;;) {
        char* text = nullptr;
        const int size = PQgetCopyData(connection_.get(), &text, 1);
        const PgText row(text);
        if (size > 0) {
            on_row({text, static_cast<std::size_t>(size)});
        } else if (size == 0) {
            wait_for_input(silence, Clock::now() + silence);
        } else if (size == kAllRead) {
            break;
        } else {
            fail();  // no memory for the row: PQgetResult() would say COPY OUT for ever
        }
    }
    collect(options_.answer_timeout);
}

void Postgres::expect_copy_out() {
    const PgResult result(PQgetResult(connection_.get()));
    if (!result || PQstatus(connection_.get()) != CONNECTION_OK) fail();
    if (PQresultStatus(result.get()) != PGRES_COPY_OUT) refuse(result.get());
}

void Postgres::cancel() noexcept {
    constexpr std::chrono::seconds kMost{1};
    try {
        const std::shared_ptr<PGcancel> request(PQgetCancel(connection_.get()), PQfreeCancel);
        if (!request) return;
        const std::function<int()> call = [request] {
            std::array<char, 256> why{};
            return PQcancel(request.get(), why.data(), static_cast<int>(why.size()));
        };
        in_own_thread(call, kMost, nullptr);
    } catch (const std::exception&) {
        return;  // it ends when it next writes to the closed connection
    }
}

void Postgres::flush() {
    constexpr milliseconds kLookAround{100};  // at `stop`
    const auto end = Clock::now() + options_.answer_timeout;
    for (;;) {
        const int left = PQflush(connection_.get());
        if (left == 0) return;
        if (left < 0) fail();
        heed_stop();
        if (Clock::now() >= end) throw PostgresError("Postgres does not take what is sent to it");
        std::array<pollfd, 2> entries = {{{socket(), POLLIN | POLLOUT, 0}, {peer_, POLLRDHUP, 0}}};
        if (!wait_for(entries, kLookAround)) continue;
        if (entries[1].revents != 0) throw PeerGone();
        if ((entries[0].revents & POLLIN) != 0 && PQconsumeInput(connection_.get()) == 0) fail();
    }
}

void Postgres::heed_stop() {
    if (options_.stop == nullptr) return;
    if (!last_moment_ && options_.stop->is_set()) last_moment_ = Clock::now() + options_.stop_grace;
    if (last_moment_ && Clock::now() >= *last_moment_) throw Stopped();
}

void Postgres::wait_for_answer(milliseconds most) {
    const auto end = Clock::now() + most;
    while (PQisBusy(connection_.get()) != 0)
        wait_for_input(most, end);
}

// Once, until something has arrived.
void Postgres::wait_for_input(milliseconds most, Clock::time_point end) {
    heed_stop();
    const int stop = options_.stop != nullptr && !last_moment_ ? options_.stop->fd() : kNobody;
    const auto left = std::chrono::ceil<milliseconds>(std::min(end, last_moment_.value_or(end)) - Clock::now());
    std::array<pollfd, 3> entries = {{{socket(), POLLIN, 0}, {stop, POLLIN, 0}, {peer_, POLLRDHUP, 0}}};
    const bool arrived = left.count() > 0 && wait_for(entries, left);
    if (entries[2].revents != 0) throw PeerGone();
    if (!arrived) {
        heed_stop();
        throw PostgresError("Postgres did not answer within " + std::to_string(most.count()) + " ms");
    }
    if (PQconsumeInput(connection_.get()) == 0) fail();
    if (!hear_) return;
    while (const auto notification = next_notification())
        hear_(*notification);
}

std::optional<PgNotification> Postgres::next_notification() {
    const PgNotify notify{PQnotifies(connection_.get())};
    if (!notify) return std::nullopt;
    return PgNotification{notify->relname, notify->extra};
}

std::vector<PgNotification> Postgres::take_notifications() {
    if (PQconsumeInput(connection_.get()) == 0) fail();
    std::vector<PgNotification> notifications;
    while (auto notification = next_notification())
        notifications.push_back(std::move(*notification));
    return notifications;
}

bool Postgres::may_be_standby() const noexcept {
    const char* said = PQparameterStatus(connection_.get(), "in_hot_standby");
    return said == nullptr || std::string_view(said) != "off";
}

std::string Postgres::display() const {
    const auto text = [](const char* value) { return std::string(value == nullptr ? "" : value); };
    const PGconn* connection = connection_.get();
    return text(PQuser(connection)) + "@" + text(PQhost(connection)) + ":" + text(PQport(connection)) + "/" +
           text(PQdb(connection));
}

void Postgres::fail() const {
    const std::string message = one_line(PQerrorMessage(connection_.get()));
    throw PostgresError("Postgres: " + (message.empty() ? "the connection is gone" : message));
}

Transaction::~Transaction() {
    if (!open_) return;
    try {
        postgres_.execute("ROLLBACK");
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
        // The connection is gone, and with it the transaction.
    }
}

void Transaction::commit() {
    open_ = false;
    postgres_.execute("COMMIT");
}

}  // namespace apikey
