// How nginx asks apikeyd, by HTTP/1.1 over its Unix socket: paths, and header fields that tell who asks. Parameters stand in the query as
// write_query() writes them. A client's own header fields are never part of it.
#pragma once

#include <cstdint>
#include <string_view>

namespace apikey::sidecar {

inline constexpr std::string_view kExportUsage = "/export/usage";
inline constexpr std::string_view kUsageSummary = "/export/usage/summary";
inline constexpr std::string_view kExportConversations = "/export/conversations";
inline constexpr std::string_view kConversationList = "/export/conversations/summary";
inline constexpr std::string_view kImportUsage = "/import/usage";
inline constexpr std::string_view kImportConversations = "/import/conversations";
inline constexpr std::string_view kKeys = "/keys";
inline constexpr std::string_view kKey = "/keys/one";           // ?id=
inline constexpr std::string_view kRotateKey = "/keys/rotate";  // ?id=
inline constexpr std::string_view kKeyChanges = "/keys/audit";
inline constexpr std::string_view kOwnKey = "/keys/me";

// All base64url without padding (RFC 4648 §5), since a header field takes no control bytes.
inline constexpr std::string_view kSecretField =
    "Apikey-Secret";  // the first line of secret_file; absent where there is none
inline constexpr std::string_view kUserField = "Apikey-User";  // in whose name; never empty
inline constexpr std::string_view kKeyField = "Apikey-Key";    // the id of the key that was used; absent: none was
inline constexpr std::string_view kKeyUserField =
    "Apikey-Key-User";  // whose that key was when nginx verified it; likewise
inline constexpr std::string_view kAddressField = "Apikey-Address";              // the client's; absent: none is known
inline constexpr std::string_view kIdempotencyField = "Apikey-Idempotency-Key";  // of the client; absent: none

// Numbers in decimal digits.
// The bytes of the body as the client declared them; absent where it did not. The body itself is sent in chunks.
inline constexpr std::string_view kLengthField = "Apikey-Length";
// For changes of keys: how long, in milliseconds, nginx may go by what it has cached of a key (the longest valid= + stale=).
inline constexpr std::string_view kBoundField = "Apikey-Bound";

// What is said of the id of a key that is none, wherever that is seen: the same of one that is somebody else's.
inline constexpr std::string_view kNoSuchKey = "There is no key of this id.";

// Of a request about keys: no more is taken.
inline constexpr std::uint64_t kMostKeyRequestBytes = std::uint64_t{64} * 1024;

// apikeyd's answer to whoever lacks the secret. nginx passes on every other status with its body.
inline constexpr int kSecretRefused = 401;

}  // namespace apikey::sidecar
