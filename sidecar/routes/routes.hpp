// What can be asked of apikeyd over its socket (core/transfer/sidecar_protocol.hpp), and who serves it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/http/exchange.hpp"
#include "sidecar/imports/import.hpp"
#include "sidecar/keys/key_json.hpp"
#include "sidecar/keys/key_store.hpp"
#include "sidecar/postgres_pool.hpp"
#include "sidecar/routes/caller.hpp"
#include "sidecar/routes/transfer_log.hpp"
#include "sidecar/settings.hpp"
#include "sidecar/user_slots.hpp"

namespace apikey {

class Routes {
  public:
    static constexpr std::size_t kExportsOfUser = 2;  // at once
    static constexpr std::size_t kImportsOfUser = 1;
    static constexpr std::size_t kImports = 2;
    static constexpr std::size_t kSummariesOfUser = 4;
    static constexpr std::size_t kSummaries = 8;
    // Each change may wait for 2 s until it is in force; who only reads does not wait for them.
    static constexpr std::size_t kKeyChangesOfUser = 10;
    static constexpr std::size_t kKeyChanges = 40;
    static constexpr std::size_t kKeyReadsOfUser = 10;
    static constexpr std::size_t kKeyReads = 20;

    // `cut` ends what runs. Both must outlive it.
    Routes(const Settings& settings, const EventFd& cut);

    // Answers a request, or throws what http::answer_request() takes. Called from many threads at once.
    void handle(http::Exchange& exchange);
    // To be called now and then.
    void tidy() { postgres_.drop_old(); }

  private:
    // One of them. `user` is who asks.
    using Serve = void (Routes::*)(http::Exchange& exchange, const std::string& user);
    struct Route {
        std::string_view path;
        std::string_view methods;  // as in Allow
        bool takes_body;
        Serve serve;
    };
    static std::span<const Route> table();

    void export_usage(http::Exchange& exchange, const std::string& user);
    void export_conversations(http::Exchange& exchange, const std::string& user);
    void summarize_usage(http::Exchange& exchange, const std::string& user);
    void list_conversations(http::Exchange& exchange, const std::string& user);
    void import_usage(http::Exchange& exchange, const std::string& user);
    void import_conversations(http::Exchange& exchange, const std::string& user);

    void list_keys(http::Exchange& exchange, const std::string& user);
    void create_key(http::Exchange& exchange, const std::string& user);
    void rename_key(http::Exchange& exchange, const std::string& user);
    void revoke_key(http::Exchange& exchange, const std::string& user);
    void rotate_key(http::Exchange& exchange, const std::string& user);
    void list_key_changes(http::Exchange& exchange, const std::string& user);
    void show_own_key(http::Exchange& exchange, const std::string& user);

    // What a change answers, but for how far it is in force.
    using KeyChange = std::function<Json(KeyStore& store, Receipt receipt)>;
    // Makes the change that `read` reads out of the request, waits for it to be in force, and answers with `status`, or 202 where that
    // could not be confirmed.
    using ReadKeyChange = std::function<KeyChange()>;
    void change_key(http::Exchange& exchange, const std::string& user, int status, const ReadKeyChange& read);
    Json commit(KeyStore& store, Receipt receipt, const KeyChange& change);
    // Answers with what `read` gives.
    using KeyReading = std::function<Json(Postgres& postgres, KeyStore& store)>;
    void read_keys(http::Exchange& exchange, const std::string& user, const KeyReading& read);

    // What waits for a summary, a document that is there at once.
    using Summary = std::function<std::string(Postgres& postgres)>;
    void summarize(http::Exchange& exchange, const std::string& user, const Summary& summary);

    using Import = std::function<ImportOutcome(ByteSource&, const ImportQuery&, const ImportHooks&)>;
    void import(http::Exchange& exchange, const std::string& user, std::string_view kind, const Import& run);
    // Does it, and leaves a line in the log, however it ends. Throws Refused and what ends a request.
    void transfer(http::Exchange& exchange, const std::string& user, std::string_view kind,
                  const std::function<void(TransferLog&)>& work);
    // The same without a line when all is well.
    void guard(http::Exchange& exchange, const std::function<void()>& work);
    // Throws Refused (429).
    static UserSlots::Slot take(UserSlots& slots, const std::string& user, std::string_view what);

    std::uint64_t most_bytes_;  // of an import
    std::string key_prefix_;
    Secret secret_;
    PostgresPool postgres_;
    UserSlots exports_;
    UserSlots summaries_{kSummariesOfUser, kSummaries};
    UserSlots imports_{kImportsOfUser, kImports};
    UserSlots key_changes_{kKeyChangesOfUser, kKeyChanges};
    UserSlots key_reads_{kKeyReadsOfUser, kKeyReads};
    QuietLog log_;
};

}  // namespace apikey
