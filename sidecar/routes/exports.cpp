#include "sidecar/exports/export.hpp"

#include "sidecar/routes/parameters.hpp"
#include "sidecar/routes/routes.hpp"

namespace apikey {
namespace {

constexpr const char* kCsv = "text/csv; charset=utf-8";

ExportHooks count_into(TransferLog& log) {
    ExportHooks hooks;
    hooks.on_rows = [&log](std::uint64_t rows) { log.rows = rows; };
    return hooks;
}

// What was written is counted even where it ends too early.
class CountedBytes {
  public:
    CountedBytes(const http::Exchange& exchange, TransferLog& log) : exchange_(exchange), log_(log) {}
    ~CountedBytes() { log_.bytes = exchange_.bytes_written(); }
    CountedBytes(const CountedBytes&) = delete;
    CountedBytes& operator=(const CountedBytes&) = delete;

  private:
    const http::Exchange& exchange_;
    TransferLog& log_;
};

}  // namespace

void Routes::export_usage(http::Exchange& exchange, const std::string& user) {
    const auto query = parameters(exchange, usage_export_query);
    auto slot = take(exports_, user, "exports");
    transfer(exchange, user, "export usage", [&](TransferLog& log) {
        const CountedBytes counted(exchange, log);
        auto postgres = postgres_.take(exchange.socket());
        ByteSink& sink = exchange.stream(query.format == TransferFormat::csv ? kCsv : http::kJson);
        log.rows = apikey::export_usage(*postgres, user, query, sink, count_into(log));
        postgres.give_back();
        slot.give_back();
        exchange.end_stream();
    });
}

void Routes::export_conversations(http::Exchange& exchange, const std::string& user) {
    const auto query = parameters(exchange, conversation_query);
    auto slot = take(exports_, user, "exports");
    transfer(exchange, user, "export conversations", [&](TransferLog& log) {
        const CountedBytes counted(exchange, log);
        auto postgres = postgres_.take(exchange.socket());
        const auto rows =
            apikey::export_conversations(*postgres, user, query, exchange.stream(http::kJson), count_into(log));
        postgres.give_back();
        if (!rows) {
            throw http::Refused(http::problem(404, "not_found", "Not found", "There is no conversation of this id."));
        }
        log.rows = *rows;
        slot.give_back();
        exchange.end_stream();
    });
}

void Routes::summarize_usage(http::Exchange& exchange, const std::string& user) {
    const auto query = parameters(exchange, usage_summary_query);
    summarize(exchange, user, [&](Postgres& postgres) {
        auto summary = apikey::summarize_usage(postgres, user, query);
        if (!summary) throw invalid_parameter(summary.error());
        return std::move(*summary);
    });
}

void Routes::list_conversations(http::Exchange& exchange, const std::string& user) {
    const auto query = parameters(exchange, conversation_list_query);
    summarize(exchange, user, [&](Postgres& postgres) {
        auto list = apikey::list_conversations(postgres, user, query);
        if (!list) throw invalid_parameter(list.error());
        return std::move(*list);
    });
}

void Routes::summarize(http::Exchange& exchange, const std::string& user, const Summary& summary) {
    auto slot = take(summaries_, user, "summaries");
    guard(exchange, [&] {
        auto postgres = postgres_.take(exchange.socket());
        std::string document = summary(*postgres);
        postgres.give_back();
        slot.give_back();
        exchange.answer({200, http::kJson, std::move(document), {}});
    });
}

}  // namespace apikey
