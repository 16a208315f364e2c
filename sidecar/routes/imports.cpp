#include "sidecar/imports/import.hpp"

#include <optional>

#include "sidecar/imports/import_answer.hpp"
#include "sidecar/routes/parameters.hpp"
#include "sidecar/routes/routes.hpp"

namespace apikey {
namespace {

// 200, 422 with the rows that are wrong, or 400 where it is no such file at all.
http::Answer answer_of(const ImportOutcome& outcome) {
    if (!outcome.malformed.empty()) return http::problem(400, "malformed_file", "File not readable", outcome.malformed);
    if (outcome.errors.empty()) return {200, http::kJson, import_answer(outcome) + "\n", {}};
    return http::problem(422, "invalid_rows", "Rows not valid",
                         "Nothing was imported: errors says what is wrong in which row.", {},
                         import_error_members(outcome));
}

// Counts the bytes of an import.
class CountedSource : public ByteSource {
  public:
    CountedSource(ByteSource& source, TransferLog& log) : source_(source), log_(log) {}
    std::string_view read() override {
        const std::string_view bytes = source_.read();
        log_.bytes += bytes.size();
        return bytes;
    }

  private:
    ByteSource& source_;
    TransferLog& log_;
};

}  // namespace

void Routes::import_usage(http::Exchange& exchange, const std::string& user) {
    import(exchange, user, "import usage", [&](ByteSource& source, const ImportQuery& query, const ImportHooks& hooks) {
        return apikey::import_usage(source, user, query, hooks);
    });
}

void Routes::import_conversations(http::Exchange& exchange, const std::string& user) {
    import(exchange, user, "import conversations",
           [&](ByteSource& source, const ImportQuery& query, const ImportHooks& hooks) {
               return apikey::import_conversations(source, user, query, hooks);
           });
}

void Routes::import(http::Exchange& exchange, const std::string& user, std::string_view kind, const Import& run) {
    const auto query = parameters(exchange, import_query);
    auto slot = take(imports_, user, "imports");
    transfer(exchange, user, kind, [&](TransferLog& log) {
        CountedSource source(exchange.body(most_bytes_, declared_length(exchange)), log);
        std::optional<PostgresPool::Lease> postgres;
        const ImportHooks hooks = {
            .postgres = [&]() -> Postgres& { return **(postgres = postgres_.take(exchange.socket())); },
            .on_rows = [&log](std::uint64_t rows) { log.rows = rows; },
        };
        const ImportOutcome outcome = run(source, query, hooks);
        if (postgres) postgres->give_back();
        const http::Answer answer = answer_of(outcome);
        if (answer.status != 200) throw http::Refused(answer);
        log.rows = outcome.imported;
        slot.give_back();
        exchange.answer(answer);
    });
}

}  // namespace apikey
