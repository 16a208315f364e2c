#include "sidecar/keys/audit_log.hpp"

#include "sidecar/keys/key_record.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {
namespace {

AuditEntry entry_of(const PgResult& result, int row) {
    AuditEntry entry;
    entry.id = cell(result, row, 0);
    entry.at = cell(result, row, 1);
    entry.user = cell(result, row, 2);
    entry.key_id = text_or_null(result, row, 3);
    entry.key_name = text_or_null(result, row, 4);
    entry.key_prefix = text_or_null(result, row, 5);
    entry.action = cell(result, row, 6);
    entry.actor = cell(result, row, 7);
    entry.actor_key = text_or_null(result, row, 8);
    entry.source = cell(result, row, 9);
    entry.address = text_or_null(result, row, 10);
    entry.details = cell(result, row, 11);
    return entry;
}

}  // namespace

AuditPage read_audit_log(Postgres& postgres, const AuditQuery& query) {
    Postgres::Parameter before;
    if (query.before) before = std::to_string(*query.before);
    const PgResult result = postgres.query(
        "SELECT id, to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), user_id, key_id::text, key_name, key_prefix, "
        "action, actor, actor_key::text, source, address, details::text FROM audit_log "
        "WHERE ($1::text IS NULL OR user_id = $1) AND ($2::numeric IS NULL OR id < $2::numeric) "
        "ORDER BY id DESC LIMIT $3::bigint",
        {query.user, before, std::to_string(query.limit + 1)});
    AuditPage page;
    const auto [shown, more] = page_rows(result, query.limit);
    page.more = more;
    for (int row = 0; row < shown; ++row)
        page.entries.push_back(entry_of(result, row));
    return page;
}

AuditPage read_own_audit_log(Postgres& postgres, const std::string& user, AuditQuery query) {
    UserSnapshot snapshot(postgres, user, kLongestRead, Reading::sums);
    query.user = user;
    AuditPage page = read_audit_log(postgres, query);
    snapshot.end();
    return page;
}

}  // namespace apikey
