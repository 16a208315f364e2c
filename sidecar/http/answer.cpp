#include "sidecar/http/answer.hpp"

#include "core/problem.hpp"

namespace apikey::http {

Answer problem(int status, std::string_view code, std::string_view title, std::string_view detail, Fields fields,
               std::string_view more) {
    return {status, std::string(kProblemMediaType), problem_text(status, code, title, detail, more), std::move(fields)};
}

Answer bad_request(std::string_view detail) {
    return problem(400, "bad_request", "Bad request", detail);
}

Answer unavailable(std::string_view detail) {
    return problem(503, "service_unavailable", "Not available now", detail, {{"Retry-After", "5"}});
}

Answer internal_error() {
    return problem(500, "internal_error", "Internal error",
                   "The request could not be served because of a fault here; the log of apikeyd says more.");
}

}  // namespace apikey::http
