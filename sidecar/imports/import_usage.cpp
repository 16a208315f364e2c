#include "sidecar/imports/import.hpp"
#include "sidecar/imports/import_transaction.hpp"
#include "sidecar/imports/usage_rows.hpp"

namespace apikey {
namespace {

// Its owner is whoever is connected; the user may read it.
constexpr const char* kTable = R"(
CREATE TEMPORARY TABLE apikey_import_usage (
    number bigint NOT NULL, bucket timestamptz NOT NULL, endpoint text COLLATE "C" NOT NULL, requests bigint NOT NULL,
    tokens bigint NOT NULL, cost numeric NOT NULL, model text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL
) ON COMMIT DROP;
)";
constexpr const char* kRights = R"(
ANALYZE pg_temp.apikey_import_usage;
GRANT SELECT ON pg_temp.apikey_import_usage TO apikey_user
)";

// Of rows that say the same the first is taken; and none that the user has already, whichever key it was counted under.
constexpr const char* kInsert = R"(
INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, source, requests, tokens_in, cost)
    SELECT $1, '00000000-0000-0000-0000-000000000000', bucket, endpoint, model, status, 'import', requests, tokens, cost
    FROM (SELECT DISTINCT ON (bucket, endpoint, model, status) * FROM pg_temp.apikey_import_usage
          ORDER BY bucket, endpoint, model, status, number) AS i
    WHERE NOT EXISTS (SELECT FROM usage_records u WHERE u.user_id = $1 AND u.bucket = i.bucket
                      AND u.endpoint = i.endpoint AND u.model = i.model AND u.status = i.status)
)";

}  // namespace

ImportOutcome import_usage(ByteSource& source, const std::string& user, const ImportQuery& query,
                           const ImportHooks& hooks) {
    ImportOutcome outcome;
    RowErrors errors(outcome);
    CopyFile lines;
    const auto reader = usage_reader(query.format, errors, lines);
    if (!read_rows(source, *reader, hooks, outcome)) return outcome;
    store_rows(outcome, [&] {
        ImportTransaction transaction(hooks.postgres(), user);
        transaction.fill(
            kTable + std::string("COPY pg_temp.apikey_import_usage (") + kUsageCopyColumns + ") FROM STDIN;" + kRights,
            {[&lines] { return lines.read(); }});
        transaction.become_user();
        outcome.imported = transaction.change(kInsert);
        outcome.skipped = reader->rows() - outcome.imported;
        if (!query.dry_run) transaction.commit();
    });
    return outcome;
}

}  // namespace apikey
