#include "sidecar/routes/routes.hpp"

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

}  // namespace

std::span<const Routes::Route> Routes::table() {
    static constexpr std::array<Route, 5> kTable = {{
        {sidecar::kExportUsage, "GET, HEAD", &Routes::export_usage},
        {sidecar::kUsageSummary, "GET, HEAD", &Routes::summarize_usage},
        {sidecar::kExportConversations, "GET, HEAD", &Routes::export_conversations},
        {sidecar::kImportUsage, "POST", &Routes::import_usage},
        {sidecar::kImportConversations, "POST", &Routes::import_conversations},
    }};
    return kTable;
}

Routes::Routes(const Settings& settings, const EventFd& cut)
    : most_bytes_(settings.imports_max_bytes),
      secret_(settings.secret_file),
      postgres_(settings.postgres, (settings.exports_parallel + 1) / 2, cut),
      exports_(kExportsOfUser, settings.exports_parallel) {}

void Routes::handle(http::Exchange& exchange) {
    require_secret(exchange, secret_, log_);
    for (const Route& route : table()) {
        if (route.path != exchange.path()) continue;
        const std::string methods = ", " + std::string(route.methods) + ",";
        if (methods.find(", " + std::string(exchange.method()) + ",") == std::string::npos) {
            throw http::Refused(http::problem(405, "method_not_allowed", "Method not allowed",
                                              "The Allow header says what can be done here.",
                                              {{"Allow", std::string(route.methods)}}));
        }
        if (route.methods != "POST" && exchange.has_body())
            throw http::Refused(http::bad_request("A body is not taken here."));
        return (this->*route.serve)(exchange, user_of(exchange));
    }
    throw http::Refused(http::problem(404, "not_found", "Not found", "There is nothing under this address."));
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
    throw http::Refused(
        http::problem(429, "too_many_" + std::string(what), "Too many at once",
                      "Too many " + std::string(what) +
                          " are running, of this user or in all. Try again after the time in Retry-After.",
                      {{"Retry-After", "5"}}));
}

}  // namespace apikey
