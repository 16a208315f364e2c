#include "core/decimal.hpp"
#include "sidecar/imports/conversation_rows.hpp"
#include "sidecar/imports/import.hpp"
#include "sidecar/imports/import_transaction.hpp"

namespace apikey {
namespace {

// Their owner is whoever is connected; the user may read them, and strike out what is there already.
constexpr const char* kTables = R"(
CREATE TEMPORARY TABLE apikey_import_conversation (
    number bigint NOT NULL, id text COLLATE "C" NOT NULL, title text NOT NULL, model text NOT NULL, metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE apikey_import_message (
    conversation bigint NOT NULL, position bigint NOT NULL, id text COLLATE "C", role text NOT NULL, content text NOT NULL,
    metadata jsonb NOT NULL, created_at timestamptz NOT NULL
) ON COMMIT DROP;
)";
constexpr const char* kRights = R"(
ANALYZE pg_temp.apikey_import_conversation;
ANALYZE pg_temp.apikey_import_message;
GRANT SELECT, DELETE ON pg_temp.apikey_import_conversation TO apikey_user;
GRANT SELECT ON pg_temp.apikey_import_message TO apikey_user
)";

// Of conversations with the same id the first is taken, and none that the user has already.
constexpr const char* kSkip = R"(
DELETE FROM pg_temp.apikey_import_conversation c
    USING (SELECT number, row_number() OVER (PARTITION BY id ORDER BY number) AS nth
           FROM pg_temp.apikey_import_conversation) AS n
    WHERE n.number = c.number
    AND (n.nth > 1 OR EXISTS (SELECT FROM conversations x WHERE x.user_id = $1 AND x.id = c.id))
)";

// Ids of messages are the user's own, too: one that is taken would be another conversation's. The last column counts them all.
constexpr const char* kTakenIds = R"(
WITH ours AS (SELECT m.conversation, m.position, m.id FROM pg_temp.apikey_import_message m
              JOIN pg_temp.apikey_import_conversation c ON c.number = m.conversation WHERE m.id IS NOT NULL),
     bad AS (SELECT conversation, position, id, true AS twice
             FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY conversation, position) AS nth FROM ours) AS o
             WHERE nth > 1
             UNION ALL
             SELECT conversation, position, id, false FROM ours
             WHERE EXISTS (SELECT FROM messages x WHERE x.user_id = $1 AND x.id = ours.id))
SELECT conversation, position, id, twice, count(*) OVER () FROM bad ORDER BY conversation, position, twice LIMIT 100
)";

constexpr const char* kInsertConversations = R"(
INSERT INTO conversations (user_id, id, title, model, metadata, created_at, updated_at)
    SELECT $1, id, title, model, metadata, created_at, updated_at FROM pg_temp.apikey_import_conversation ORDER BY id
)";
constexpr const char* kInsertMessages = R"(
INSERT INTO messages (user_id, id, conversation_id, position, role, content, metadata, created_at)
    SELECT $1, coalesce(m.id, gen_random_uuid()::text), c.id, m.position, m.role, m.content, m.metadata, m.created_at
    FROM pg_temp.apikey_import_message m JOIN pg_temp.apikey_import_conversation c ON c.number = m.conversation
)";

// False: some are, and `outcome` says which.
bool are_message_ids_free(ImportTransaction& transaction, ImportOutcome& outcome) {
    const PgResult bad = transaction.query(kTakenIds);
    for (int row = 0; row < rows(bad); ++row) {
        const std::string id = quoted_for_message(cell(bad, row, 2));
        outcome.errors.push_back({parse_decimal(cell(bad, row, 0)).value_or(0), 0,
                                  message_field(parse_decimal(cell(bad, row, 1)).value_or(0), "id"),
                                  cell(bad, row, 3) == "t" ? id + " is an earlier message's of this file, too"
                                                           : id + " is a message's of another conversation already"});
    }
    if (rows(bad) == 0) return true;
    outcome.more_errors = parse_decimal(cell(bad, 0, 4)).value_or(0) - outcome.errors.size();
    return false;
}

}  // namespace

ImportOutcome import_conversations(ByteSource& source, const std::string& user, const ImportQuery& query,
                                   const ImportHooks& hooks) {
    ImportOutcome outcome;
    if (query.format == TransferFormat::csv) {
        outcome.malformed = "conversations come as JSON, not as CSV";
        return outcome;
    }
    RowErrors errors(outcome);
    ConversationLines lines;
    const auto reader = conversation_reader(errors, lines);
    if (!read_rows(source, *reader, hooks, outcome)) return outcome;
    store_rows(outcome, [&] {
        ImportTransaction transaction(hooks.postgres(), user);
        transaction.fill(kTables + std::string("COPY pg_temp.apikey_import_conversation (") + kConversationCopyColumns +
                             ") FROM STDIN; COPY pg_temp.apikey_import_message (" + kMessageCopyColumns +
                             ") FROM STDIN;" + kRights,
                         {[&lines] { return lines.conversations.read(); }, [&lines] { return lines.messages.read(); }});
        transaction.become_user();
        outcome.skipped = transaction.change(kSkip);
        if (!are_message_ids_free(transaction, outcome)) return;
        outcome.imported = transaction.change(kInsertConversations);
        transaction.change(kInsertMessages);
        if (!query.dry_run) transaction.commit();
    });
    return outcome;
}

}  // namespace apikey
