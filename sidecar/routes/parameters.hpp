// The parameters of a request, read by core/transfer/queries.hpp.
#pragma once

#include "core/result.hpp"
#include "core/transfer/query_string.hpp"
#include "sidecar/http/exchange.hpp"

namespace apikey {

inline http::Refused invalid_parameter(std::string_view why) {
    return http::Refused(http::problem(400, "invalid_parameter", "Parameter not valid", why));
}

// What `read` makes of the query. Throws Refused (400), which names the parameter.
template <class Query>
Query parameters(const http::Exchange& exchange, Result<Query> (*read)(const QueryParameters&)) {
    const auto given = read_query(exchange.query());
    if (!given) throw invalid_parameter(given.error());
    auto query = read(*given);
    if (!query) throw invalid_parameter(query.error());
    return std::move(*query);
}

}  // namespace apikey
