#include "core/problem.hpp"

#include <algorithm>

#include "core/json_string.hpp"

namespace apikey {
namespace {

// Written out so that each document can be read, and searched for, as clients see it.
constexpr std::string_view kMissing =
    R"({"type":"urn:nginx-api-key:problem:missing_api_key","title":"API key required",)"
    R"("status":401,"code":"missing_api_key",)"
    R"("detail":"The request has no API key where one is expected: usually as Authorization: Bearer <key>."})"
    "\n";
constexpr std::string_view kMalformed =
    R"({"type":"urn:nginx-api-key:problem:malformed_api_key","title":"API key malformed",)"
    R"("status":401,"code":"malformed_api_key",)"
    R"("detail":"What was sent cannot be an API key: a key is 1 to 512 letters, digits and -._~+/ )"
    R"(with optional = signs at its end. Check that it was copied whole, without quotes or spaces."})"
    "\n";
constexpr std::string_view kInvalid =
    R"({"type":"urn:nginx-api-key:problem:invalid_api_key","title":"API key not valid",)"
    R"("status":401,"code":"invalid_api_key",)"
    R"("detail":"This API key is unknown or has been revoked. Use another key or create a new one."})"
    "\n";
constexpr std::string_view kExpired =
    R"({"type":"urn:nginx-api-key:problem:expired_api_key","title":"API key expired",)"
    R"("status":401,"code":"expired_api_key",)"
    R"("detail":"This API key has reached its expiry date. Use the key that replaced it or create a new one."})"
    "\n";
constexpr std::string_view kForbidden =
    R"({"type":"urn:nginx-api-key:problem:insufficient_scope","title":"Insufficient scope",)"
    R"("status":403,"code":"insufficient_scope",)"
    R"("detail":"This API key is valid but lacks a scope that is needed here. )"
    R"(The WWW-Authenticate header names the scopes."})"
    "\n";
constexpr std::string_view kUnavailable =
    R"({"type":"urn:nginx-api-key:problem:api_key_unavailable","title":"API keys cannot be verified now",)"
    R"("status":503,"code":"api_key_unavailable",)"
    R"("detail":"The key could not be checked just now, which says nothing about the key. )"
    R"(Try again after the time in Retry-After."})"
    "\n";

// Bytes of a quoted-string's content, before escaping.
bool quotable(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        if (!quotable(c)) continue;
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

std::string joined(std::span<const std::string_view> scopes) {
    std::string all;
    for (const std::string_view scope : scopes) {
        if (!all.empty()) all += ' ';
        all += scope;
    }
    return all;
}

}  // namespace

int http_status(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::valid: return 200;
        case Verdict::missing:
        case Verdict::malformed:
        case Verdict::invalid:
        case Verdict::expired: return 401;
        case Verdict::forbidden: return 403;
        case Verdict::unavailable: break;
    }
    return 503;
}

std::string_view code(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::valid: return {};
        case Verdict::missing: return "missing_api_key";
        case Verdict::malformed: return "malformed_api_key";
        case Verdict::invalid: return "invalid_api_key";
        case Verdict::expired: return "expired_api_key";
        case Verdict::forbidden: return "insufficient_scope";
        case Verdict::unavailable: break;
    }
    return "api_key_unavailable";
}

std::string_view problem_document(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::valid: return {};
        case Verdict::missing: return kMissing;
        case Verdict::malformed: return kMalformed;
        case Verdict::invalid: return kInvalid;
        case Verdict::expired: return kExpired;
        case Verdict::forbidden: return kForbidden;
        case Verdict::unavailable: break;
    }
    return kUnavailable;
}

std::string problem_text(int status, std::string_view code, std::string_view title, std::string_view detail,
                         std::string_view more) {
    std::string text = R"({"type":"urn:nginx-api-key:problem:)" + std::string(code) + R"(","title":)";
    append_json_string(text, title);
    text += R"(,"status":)" + std::to_string(status) + R"(,"code":")" + std::string(code) + R"(","detail":)";
    append_json_string(text, detail);
    if (!more.empty()) text += ',';
    text += more;
    return text + "}\n";
}

bool valid_realm(std::string_view realm) noexcept {
    return std::all_of(realm.begin(), realm.end(), quotable);
}

std::string challenge(std::string_view realm, Verdict verdict, std::span<const std::string_view> required) {
    if (verdict == Verdict::valid || verdict == Verdict::unavailable) return {};
    std::string value = "Bearer realm=";
    append_quoted(value, realm);
    if (verdict == Verdict::missing) return value;
    if (verdict != Verdict::forbidden) return value + R"(, error="invalid_token")";
    value += R"(, error="insufficient_scope", scope=)";
    append_quoted(value, joined(required));
    return value;
}

}  // namespace apikey
