#include "sidecar/routes/caller.hpp"

#include "core/base64url.hpp"
#include "core/byte_run.hpp"
#include "core/digest.hpp"
#include "core/secret_file.hpp"
#include "core/transfer/sidecar_protocol.hpp"
#include "core/utf8.hpp"
#include "core/uuid.hpp"
#include "sidecar/keys/audit_log.hpp"

namespace apikey {
namespace {

// Their digests: the time tells not even the length.
bool same(std::string_view a, std::string_view b) {
    const auto digest_a = sha256(a);
    const auto digest_b = sha256(b);
    return digest_a && digest_b && equal(*digest_a, *digest_b);
}

}  // namespace

bool Secret::is(std::string_view given) const {
    if (file_.empty()) return true;
    const auto secret = read_secret_file(file_.c_str());
    return secret && same(given, *secret);
}

void require_secret(const http::Exchange& exchange, const Secret& secret, QuietLog& log) {
    const auto given = from_base64url(exchange.field(sidecar::kSecretField).value_or(std::string_view()));
    if (secret.is(given.value_or(std::string()))) return;
    log.warn(
        "http: a request without the secret of secret_file was refused; has nginx the same (api_key_sidecar "
        "secret_file=)?");
    throw http::Refused(http::problem(sidecar::kSecretRefused, "secret_refused", "Refused",
                                      "Whoever asks here must prove to be nginx."));
}

std::optional<std::string> text_field(const http::Exchange& exchange, std::string_view name) {
    const auto given = exchange.field(name);
    if (!given) return std::nullopt;
    auto text = from_base64url(*given);
    if (!text || text->empty() || !is_utf8(*text) || has_control_byte(*text))
        throw http::Refused(
            http::bad_request(std::string(name) + " must be base64url of a text in UTF-8 without control bytes."));
    return text;
}

std::string user_of(const http::Exchange& exchange) {
    auto user = text_field(exchange, sidecar::kUserField);
    if (!user) throw http::Refused(http::bad_request("Apikey-User is missing."));
    return std::move(*user);
}

KeyHolder holder_of(const http::Exchange& exchange, const std::string& user) {
    std::string key = text_field(exchange, sidecar::kKeyField).value_or(std::string());
    if (!key.empty() && !is_uuid(key)) throw http::Refused(http::bad_request("Apikey-Key must be a UUID."));
    return {user, std::move(key), text_field(exchange, sidecar::kKeyUserField).value_or(std::string()),
            text_field(exchange, sidecar::kIdempotencyField).value_or(std::string())};
}

Actor actor_of(const http::Exchange& exchange, const std::string& user) {
    return {user, kSourceApi, text_field(exchange, sidecar::kAddressField).value_or(std::string())};
}

}  // namespace apikey
