// What KeyStore reads.
#include <stdexcept>

#include "sidecar/keys/key_store.hpp"
#include "sidecar/user_transaction.hpp"

namespace apikey {

const KeyHolder& KeyStore::holder() const {
    if (!holder_) throw std::logic_error("an operator has no keys of his own");
    return *holder_;
}

std::vector<KeyRecord> KeyStore::list(const std::optional<std::string>& user) {
    const std::string sql = std::string("SELECT ") + kRecordColumns +
                            " FROM api_keys WHERE $1::text IS NULL OR user_id = $1 "
                            "ORDER BY created_at, id";
    const PgResult result = postgres_.query(sql.c_str(), {user});
    std::vector<KeyRecord> records;
    records.reserve(static_cast<std::size_t>(rows(result)));
    for (int row = 0; row < rows(result); ++row)
        records.push_back(record_of(result, row));
    return records;
}

// A key without a time of its making comes last.
std::optional<KeyPage> KeyStore::page(std::uint64_t limit, const std::optional<std::string>& after) {
    const std::string& user = holder().user;
    UserSnapshot snapshot(postgres_, user, kLongestRead, Reading::sums);
    Postgres::Parameter made;
    if (after) {
        const PgResult last = postgres_.query(
            "SELECT coalesce(created_at, '-infinity') FROM api_keys WHERE id = $1::uuid AND user_id = $2",
            {after, user});
        if (rows(last) == 0) {
            snapshot.end();
            return std::nullopt;
        }
        made = cell(last, 0, 0);
    }
    const std::string sql = std::string("SELECT ") + kRecordColumns +
                            " FROM api_keys WHERE user_id = $1 AND ($2::uuid IS NULL "
                            "OR (coalesce(created_at, '-infinity'), id) < ($3::timestamptz, $2::uuid)) "
                            "ORDER BY coalesce(created_at, '-infinity') DESC, id DESC LIMIT $4::bigint";
    const PgResult result = postgres_.query(sql.c_str(), {user, after, made, std::to_string(limit + 1)});
    snapshot.end();
    KeyPage page;
    const auto [shown, more] = page_rows(result, limit);
    page.more = more;
    for (int row = 0; row < shown; ++row)
        page.keys.push_back(record_of(result, row));
    return page;
}

std::optional<KeyRecord> KeyStore::find(const std::string& id) {
    const std::string& user = holder().user;
    UserSnapshot snapshot(postgres_, user, kLongestRead, Reading::sums);
    const std::string sql =
        std::string("SELECT ") + kRecordColumns + " FROM api_keys WHERE id = $1::uuid AND user_id = $2";
    const PgResult result = postgres_.query(sql.c_str(), {id, user});
    snapshot.end();
    if (rows(result) == 0) return std::nullopt;
    return record_of(result, 0);
}

}  // namespace apikey
