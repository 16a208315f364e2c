// How nginx asks apikeyd, by HTTP/1.1 over its Unix socket: paths, and header fields that tell who asks. Parameters stand in the query as
// write_query() writes them. A client's own header fields are never part of it.
#pragma once

#include <string_view>

namespace apikey::sidecar {

inline constexpr std::string_view kExportUsage = "/export/usage";
inline constexpr std::string_view kUsageSummary = "/export/usage/summary";
inline constexpr std::string_view kExportConversations = "/export/conversations";
inline constexpr std::string_view kImportUsage = "/import/usage";
inline constexpr std::string_view kImportConversations = "/import/conversations";

// All base64url without padding (RFC 4648 §5), since a header field takes no control bytes.
inline constexpr std::string_view kSecretField =
    "Apikey-Secret";  // the first line of secret_file; absent where there is none
inline constexpr std::string_view kUserField = "Apikey-User";  // in whose name; never empty
inline constexpr std::string_view kKeyField = "Apikey-Key";    // the id of the key that was used; absent: none was
// The bytes of the body as the client declared them, for imports; absent where it did not. The body itself is sent in chunks.
inline constexpr std::string_view kLengthField = "Apikey-Length";

// apikeyd's answer to whoever lacks the secret. nginx passes on every other status with its body.
inline constexpr int kSecretRefused = 401;

}  // namespace apikey::sidecar
