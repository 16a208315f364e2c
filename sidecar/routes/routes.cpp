#include "sidecar/routes/routes.hpp"

#include <algorithm>
#include <array>

#include "core/transfer/sidecar_protocol.hpp"
#include "sidecar/routes/ending.hpp"

namespace apikey {
namespace {

// The answer that tells of it, or where one was begun, its breaking off.
[[noreturn]] void end(const http::Exchange& exchange, const Ending& ending) {
    if (ending.answer && !exchange.has_begun()) throw http::Refused(*ending.answer);
    throw http::ClientGone("broken off");
}

bool has_method(std::string_view methods, std::string_view method) {
    return (", " + std::string(methods) + ",").find(", " + std::string(method) + ",") != std::string::npos;
}

}  // namespace

std::span<const Routes::Route> Routes::table() {
    static constexpr std::array kTable = {
        Route{sidecar::kExportUsage, "GET, HEAD", false, &Routes::export_usage},
        Route{sidecar::kUsageSummary, "GET, HEAD", false, &Routes::summarize_usage},
        Route{sidecar::kExportConversations, "GET, HEAD", false, &Routes::export_conversations},
        Route{sidecar::kConversationList, "GET, HEAD", false, &Routes::list_conversations},
        Route{sidecar::kImportUsage, "POST", true, &Routes::import_usage},
        Route{sidecar::kImportConversations, "POST", true, &Routes::import_conversations},
        Route{sidecar::kKeys, "GET, HEAD", false, &Routes::list_keys},
        Route{sidecar::kKeys, "POST", true, &Routes::create_key},
        Route{sidecar::kKey, "PATCH", true, &Routes::rename_key},
        Route{sidecar::kKey, "DELETE", false, &Routes::revoke_key},
        Route{sidecar::kRotateKey, "POST", true, &Routes::rotate_key},
        Route{sidecar::kKeyChanges, "GET, HEAD", false, &Routes::list_key_changes},
        Route{sidecar::kOwnKey, "GET, HEAD", false, &Routes::show_own_key},
    };
    return kTable;
}

Routes::Routes(const Settings& settings, const EventFd& cut)
    : most_bytes_(settings.imports_max_bytes),
      key_prefix_(settings.key_prefix),
      secret_(settings.secret_file),
      postgres_(settings.postgres, (settings.exports_parallel + 1) / 2, cut),
      exports_(kExportsOfUser, settings.exports_parallel) {}

void Routes::handle(http::Exchange& exchange) {
    require_secret(exchange, secret_, log_);
    std::string allowed;
    for (const Route& route : table()) {
        if (route.path != exchange.path()) continue;
        if (!has_method(route.methods, exchange.method())) {
            allowed += (allowed.empty() ? "" : ", ") + std::string(route.methods);
            continue;
        }
        if (!route.takes_body && exchange.has_body())
            throw http::Refused(http::bad_request("A body is not taken here."));
        return (this->*route.serve)(exchange, user_of(exchange));
    }
    if (allowed.empty())
        throw http::Refused(http::problem(404, "not_found", "Not found", "There is nothing under this address."));
    throw http::Refused(http::problem(405, "method_not_allowed", "Method not allowed",
                                      "The Allow header says what can be done here.", {{"Allow", allowed}}));
}

void Routes::transfer(http::Exchange& exchange, const std::string& user, std::string_view kind,
                      const std::function<void(TransferLog&)>& work) {
    TransferLog log(kind, user);
    try {
        work(log);
        log.ended("complete");
    } catch (...) {
        const Ending ending = ending_of(std::current_exception());
        if (ending.ours) {
            log.failed(ending.how);
        } else {
            log.ended(ending.how);
        }
        if (!exchange.is_answered()) end(exchange, ending);  // a HEAD request is
    }
}

void Routes::guard(http::Exchange& exchange, const std::function<void()>& work) {
    try {
        work();
    } catch (...) {
        const Ending ending = ending_of(std::current_exception());
        if (ending.ours || (ending.answer && ending.answer->status == 503)) log_.warn("http: " + ending.how);
        end(exchange, ending);
    }
}

UserSlots::Slot Routes::take(UserSlots& slots, const std::string& user, std::string_view what) {
    auto slot = slots.take(user);
    if (slot) return std::move(*slot);
    std::string words(what);
    std::replace(words.begin(), words.end(), '_', ' ');
    throw http::Refused(http::problem(
        429, "too_many_" + std::string(what), "Too many at once",
        "Too many " + words + " are running, of this user or in all. Try again after the time in Retry-After.",
        {{"Retry-After", "5"}}));
}

}  // namespace apikey
