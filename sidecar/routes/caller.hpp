// Who asks: that it is nginx (DESIGN §4.13, hazard V13), and for whom.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/http/exchange.hpp"
#include "sidecar/keys/key_holder.hpp"
#include "sidecar/log.hpp"

namespace apikey {

// The first line of secret_file, which whoever asks must know.
class Secret {
  public:
    // `file`: empty when there is none, and everybody whom the socket's mode lets in may ask.
    explicit Secret(std::string file) : file_(std::move(file)) {}

    // Compares in constant time with what the file says now: a secret that was replaced is none any more. A file that cannot be read
    // holds none.
    [[nodiscard]] bool is(std::string_view given) const;

  private:
    std::string file_;
};

// Throws Refused (401) when the request lacks the secret; `log` is told of it now and then.
void require_secret(const http::Exchange& exchange, const Secret& secret, QuietLog& log);

// A field of the header in base64url, in UTF-8 without control bytes, not empty; nothing: it is not there. Throws Refused (400).
std::optional<std::string> text_field(const http::Exchange& exchange, std::string_view name);

// In whose name. Throws Refused (400) when that is not there, or no UTF-8 without control bytes.
std::string user_of(const http::Exchange& exchange);
// The same of a request about keys, and what audit_log will say of it.
KeyHolder holder_of(const http::Exchange& exchange, const std::string& user);
Actor actor_of(const http::Exchange& exchange, const std::string& user);

}  // namespace apikey
