#include "core/json_string.hpp"
#include "sidecar/exports/export.hpp"
#include "sidecar/imports/import.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {

std::uint64_t export_usage(Postgres& postgres, const std::string& user, const UsageExportQuery&, ByteSink& sink,
                           const ExportHooks& hooks) {
    UserSnapshot snapshot(postgres, user, std::chrono::seconds(3600));
    std::uint64_t rows = 0;
    std::string piece = "date,endpoint\n";
    postgres.copy_out(
        "COPY (SELECT bucket, endpoint FROM usage_records WHERE user_id = current_setting('apikey.user') ORDER BY 1) TO STDOUT",
        std::chrono::seconds(60), [&](std::string_view row) {
            ++rows;
            piece += row;
            if (piece.size() < 60000 && rows > 1) return;
            sink.write(piece);
            piece.clear();
            if (hooks.on_rows) hooks.on_rows(rows);
        });
    snapshot.end();
    sink.write(piece);
    return rows;
}
std::optional<std::uint64_t> export_conversations(Postgres&, const std::string&, const ConversationQuery&, ByteSink&,
                                                  const ExportHooks&) {
    return std::nullopt;
}
Result<std::string> summarize_usage(Postgres& postgres, const std::string& user, const UsageSummaryQuery&) {
    UserSnapshot snapshot(postgres, user, std::chrono::seconds(10));
    snapshot.end();
    return std::string("{}\n");
}
ImportOutcome import_usage(ByteSource& source, const std::string&, const ImportQuery&, const ImportHooks& hooks) {
    ImportOutcome outcome;
    for (auto piece = source.read(); !piece.empty(); piece = source.read()) {
        if (piece.starts_with("bad")) {
            outcome.malformed = "bad";
            return outcome;
        }
        outcome.imported += piece.size();
    }
    hooks.postgres().query("SELECT 1");
    return outcome;
}
ImportOutcome import_conversations(ByteSource& source, const std::string& user, const ImportQuery& query,
                                   const ImportHooks& hooks) {
    return import_usage(source, user, query, hooks);
}

}  // namespace apikey
