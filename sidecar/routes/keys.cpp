// What key holders do with their own keys. A change answers when it is in force, or says that it could not be confirmed (DESIGN §3.3).
#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "core/decimal.hpp"
#include "core/transfer/queries.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "sidecar/keys/audit_log.hpp"
#include "sidecar/keys/confirmation.hpp"
#include "sidecar/keys/key_refused.hpp"
#include "sidecar/keys/key_requests.hpp"
#include "sidecar/routes/parameters.hpp"
#include "sidecar/routes/routes.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

constexpr std::string_view kTooLongForItsColumn = "22001";
constexpr std::string_view kRaisedByATrigger = "P0001";
constexpr std::string_view kSerializationFailure = "40001";
constexpr std::string_view kDeadlock = "40P01";
constexpr int kTries = 5;

std::chrono::sys_seconds now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string body_of(http::Exchange& exchange) {
    ByteSource& source = exchange.body(sidecar::kMostKeyRequestBytes, declared_length(exchange));
    std::string body;
    for (std::string_view bytes = source.read(); !bytes.empty(); bytes = source.read())
        body += bytes;
    return body;
}

template <class T>
T or_refuse_body(Result<T> read) {
    if (!read) throw http::Refused(http::problem(400, "invalid_body", "Body not valid", read.error()));
    return std::move(*read);
}

// nginx has seen that it is a UUID.
std::string id_of(const http::Exchange& exchange) {
    const auto given = read_query(exchange.query());
    if (!given || given->size() != 1 || given->front().name != "id") throw invalid_parameter("id must be given alone");
    std::string id = given->front().value;
    std::transform(id.begin(), id.end(), id.begin(), [](char c) { return c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c; });
    return id;
}

http::Answer answer_of(const KeyRefused& refused) {
    switch (refused.why()) {
        case KeyRefused::Why::no_such_key: return http::problem(404, "not_found", "Not found", sidecar::kNoSuchKey);
        case KeyRefused::Why::not_active: return http::problem(409, "key_not_active", "Key not active", refused.what());
        case KeyRefused::Why::exceeds_rights:
            return http::problem(403, "exceeds_own_rights", "More than the key that asks may do", refused.what());
        case KeyRefused::Why::key_reused:
            return http::problem(422, "idempotency_key_reused", "Idempotency-Key used before", refused.what());
    }
    return http::internal_error();
}

// The table may be the application's, with rules of its own: what these say may be about other rows.
bool breaks_a_rule(const PostgresError& error) {
    const std::string_view of_class = std::string_view(error.sqlstate()).substr(0, 2);
    return of_class == "23" || error.sqlstate() == kTooLongForItsColumn || error.sqlstate() == kRaisedByATrigger;
}

Json of_made(const MadeKey& made) {
    Json json = {{"success", true}, {"id", made.record.id}, {"key", made.key}};
    json.update(to_json(made.record, Reader::holder));
    return json;
}

Json of_record(const KeyRecord& record) {
    Json json = {{"success", true}};
    json.update(to_json(record, Reader::holder));
    return json;
}

// What fails here takes nothing back of what was committed.
void give_back(PostgresPool::Lease& postgres, DoneListener& listener) {
    try {
        listener.end();
        postgres.give_back();
    } catch (const PostgresError&) {  // NOLINT(bugprone-empty-catch)
        // The connection is closed with the lease.
    }
}

}  // namespace

// --- reading -------------------------------------------------------------------------------------------------------------

void Routes::list_keys(http::Exchange& exchange, const std::string& user) {
    const auto query = parameters(exchange, key_page_query);
    read_keys(exchange, user, [&](Postgres&, KeyStore& store) {
        const auto page = store.page(query.limit, query.after);
        if (!page) throw invalid_parameter("after names no key in this list; begin again");
        Json keys = Json::array();
        for (const KeyRecord& record : page->keys)
            keys.push_back(to_json(record, Reader::holder));
        return Json{{"success", true},
                    {"keys", std::move(keys)},
                    {"next", page->more ? Json(page->keys.back().id) : Json(nullptr)}};
    });
}

void Routes::list_key_changes(http::Exchange& exchange, const std::string& user) {
    const auto query = parameters(exchange, audit_page_query);
    read_keys(exchange, user, [&](Postgres& postgres, KeyStore&) {
        AuditQuery of_user;
        of_user.limit = query.limit;
        if (query.after) of_user.before = parse_decimal(*query.after);
        const AuditPage page = read_own_audit_log(postgres, user, of_user);
        Json entries = Json::array();
        for (const AuditEntry& entry : page.entries)
            entries.push_back(to_json(entry, Reader::holder));
        return Json{{"success", true},
                    {"entries", std::move(entries)},
                    {"next", page.more ? Json(page.entries.back().id) : Json(nullptr)}};
    });
}

// Whom a page acts for, and what it may do. Where a site names its users otherwise (api_key_user), the key that asks is no key of his.
void Routes::show_own_key(http::Exchange& exchange, const std::string& user) {
    const std::string id = holder_of(exchange, user).key_id;
    read_keys(exchange, user, [&](Postgres&, KeyStore& store) {
        const auto key = id.empty() ? std::nullopt : store.find(id);
        return Json{{"success", true}, {"user", user}, {"key", key ? to_json(*key, Reader::holder) : Json(nullptr)}};
    });
}

void Routes::read_keys(http::Exchange& exchange, const std::string& user, const KeyReading& read) {
    auto slot = take(key_reads_, user, "key_requests");
    guard(exchange, [&] {
        auto postgres = postgres_.take(exchange.socket());
        KeyStore store(*postgres, key_prefix_, actor_of(exchange, user), holder_of(exchange, user));
        const Json json = read(*postgres, store);
        postgres.give_back();
        slot.give_back();
        exchange.answer({200, http::kJson, text_of(json) + "\n", {}});
    });
}

// --- changing ------------------------------------------------------------------------------------------------------------

void Routes::create_key(http::Exchange& exchange, const std::string& user) {
    change_key(exchange, user, 201, [&]() -> KeyChange {
        NewKey key = or_refuse_body(new_key_request(body_of(exchange), now()));
        key.user = user;
        return [key](KeyStore& store, Receipt receipt) { return of_made(store.create(key, receipt)); };
    });
}

void Routes::rename_key(http::Exchange& exchange, const std::string& user) {
    change_key(exchange, user, 200, [&]() -> KeyChange {
        const std::string name = or_refuse_body(rename_request(body_of(exchange)));
        return [id = id_of(exchange), name](KeyStore& store, Receipt receipt) {
            return of_record(store.rename(id, name, receipt));
        };
    });
}

void Routes::revoke_key(http::Exchange& exchange, const std::string& user) {
    change_key(exchange, user, 200, [&]() -> KeyChange {
        return [id = id_of(exchange)](KeyStore& store, Receipt receipt) {
            return Json{{"success", true}, {"id", store.revoke(id, receipt).id}};
        };
    });
}

void Routes::rotate_key(http::Exchange& exchange, const std::string& user) {
    change_key(exchange, user, 201, [&]() -> KeyChange {
        const auto overlap = or_refuse_body(rotate_request(body_of(exchange)));
        return [id = id_of(exchange), overlap](KeyStore& store, Receipt receipt) {
            const RotatedKey rotated = store.rotate(id, overlap, receipt);
            Json json = of_made(rotated.made);
            json["replaces"] = to_json(rotated.old, Reader::holder);
            return json;
        };
    });
}

void Routes::change_key(http::Exchange& exchange, const std::string& user, int status, const ReadKeyChange& read) {
    auto slot = take(key_changes_, user, "key_changes");
    const KeyChange change = read();
    guard(exchange, [&] {
        auto postgres = postgres_.take(exchange.socket());
        DoneListener listener(*postgres);
        KeyStore store(*postgres, key_prefix_, actor_of(exchange, user), holder_of(exchange, user));
        const Receipt receipt = new_receipt();
        Json json;
        try {
            json = commit(store, receipt, change);
        } catch (const KeyRefused& refused) {
            give_back(postgres, listener);  // its transaction is rolled back, without an error of Postgres
            throw http::Refused(answer_of(refused));
        }
        const Confirmation confirmation = listener.wait(receipt, kWaitForChange);
        add_to_json(json, confirmation);
        if (!confirmation.in_force()) json["bound"] = number_field(exchange, sidecar::kBoundField).value_or(0);
        give_back(postgres, listener);
        slot.give_back();
        exchange.answer({confirmation.in_force() ? status : 202, http::kJson, text_of(json) + "\n", {}});
    });
}

// Whom Postgres has chosen to give way to another transaction tries again; nothing of the first try is left.
Json Routes::commit(KeyStore& store, Receipt receipt, const KeyChange& change) {
    for (int tries = 1;; ++tries) {
        try {
            return change(store, receipt);
        } catch (const PostgresError& error) {
            const bool gave_way = error.sqlstate() == kDeadlock || error.sqlstate() == kSerializationFailure;
            if (gave_way && tries < kTries) {
                std::this_thread::sleep_for(std::chrono::milliseconds(10 + std::random_device()() % 40));
                continue;
            }
            if (!breaks_a_rule(error)) throw;
            log_.warn("http: a change of a key was refused by Postgres: " + std::string(error.what()));
            throw http::Refused(http::problem(409, "refused_by_the_table", "Refused by a rule of the table",
                                              "A rule of the application's table of keys does not allow this."));
        }
    }
}

}  // namespace apikey
