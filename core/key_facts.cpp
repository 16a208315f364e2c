#include "core/key_facts.hpp"

#include <algorithm>

#include "core/byte_run.hpp"
#include "core/utf8.hpp"

namespace apikey {
namespace {

using redis::ReplyType;
using redis::ReplyView;

constexpr std::size_t kMaxExpiryDigits = 18;  // always fits an int64

// Places in kFactFields.
enum Field : std::size_t { kHash, kId, kUser, kName, kPrefix, kScopes, kExpires };

struct Row {
    std::array<std::string_view, kFactFields.size()> text;
    std::array<bool, kFactFields.size()> nil;
};

// False when this is no array of seven strings or nils and then `marks` nils.
bool read_row(const ReplyView& reply, std::size_t marks, Row& row) noexcept {
    if (!reply.is(ReplyType::array) || !is_in_place(reply.size(), marks)) return false;
    for (std::size_t i = 0; i < kFactFields.size(); ++i) {
        const ReplyView field = reply[i];
        row.nil[i] = field.is(ReplyType::nil);
        if (!row.nil[i] && !field.is(ReplyType::string)) return false;
        row.text[i] = field.text();
    }
    for (std::size_t i = kFactFields.size(); i < reply.size(); ++i) {
        if (!reply[i].is(ReplyType::nil)) return false;
    }
    return true;
}

bool acceptable(std::string_view field) noexcept {
    return field.size() <= kMaxFieldBytes && !has_control_byte(field);
}

// Reads 1 to 18 decimal digits, or nothing at all. The first second of 1970 must not read as
// "never": a key that ended then is as expired as one that ended a second later.
bool read_expiry(std::string_view text, std::int64_t& expires) noexcept {
    expires = kNeverExpires;
    if (text.empty()) return true;
    if (text.size() > kMaxExpiryDigits) return false;
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
        expires = expires * 10 + (c - '0');
    }
    expires = std::max<std::int64_t>(expires, 1);
    return true;
}

}  // namespace

FactsStatus decode_facts(const ReplyView& reply, const Digest& asked, KeyFacts& facts, std::size_t marks) {
    Row row;
    if (!read_row(reply, marks, row)) return FactsStatus::mismatch;
    if (std::all_of(row.nil.begin(), row.nil.end(), [](bool nil) { return nil; })) {
        return FactsStatus::absent;
    }
    if (!row.nil[kHash] && !answers_question(row.text[kHash], asked)) return FactsStatus::mismatch;
    if (std::any_of(row.nil.begin(), row.nil.end(), [](bool nil) { return nil; }) || row.text[kId].empty() ||
        row.text[kUser].empty() || !std::all_of(row.text.begin(), row.text.end(), acceptable) ||
        !is_utf8(row.text[kId]) || !is_utf8(row.text[kUser]) || !read_expiry(row.text[kExpires], facts.expires)) {
        return FactsStatus::corrupt;
    }
    facts.id = row.text[kId];
    facts.user = row.text[kUser];
    facts.name = row.text[kName];
    facts.prefix = row.text[kPrefix];
    facts.scopes = row.text[kScopes];
    return FactsStatus::found;
}

}  // namespace apikey
