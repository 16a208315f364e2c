// The parameters of a request, read by core/transfer/queries.hpp, and its body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/decimal.hpp"
#include "core/result.hpp"
#include "core/transfer/query_string.hpp"
#include "core/transfer/sidecar_protocol.hpp"
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

// A number in a field of the header; nothing: there is none. Throws Refused (400).
inline std::optional<std::uint64_t> number_field(const http::Exchange& exchange, std::string_view name) {
    const auto given = exchange.field(name);
    if (!given) return std::nullopt;
    const auto number = parse_decimal(*given);
    if (!number) throw http::Refused(http::bad_request(std::string(name) + " must be a number."));
    return *number;
}

// How long the client says that its body is.
inline std::optional<std::uint64_t> declared_length(const http::Exchange& exchange) {
    return number_field(exchange, sidecar::kLengthField);
}

}  // namespace apikey
