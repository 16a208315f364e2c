// What Redis answers about a key, against the table of key_facts.hpp (hazard R16) written once more; and what follows from the
// facts: packed they are the same, and the policy says of them what the words say.
#include "core/key_facts.hpp"

#include <algorithm>
#include <vector>

#include "core/packed_facts.hpp"
#include "core/policy.hpp"
#include "tests/core/reply_builder.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

using redis::ReplyType;

struct Element {
    ReplyType type;
    std::string text;
};

constexpr const char* kWords[] = {"",
                                  "ann",
                                  "Zo\xc3\xab",
                                  "*",
                                  "a b",
                                  "usage:read",
                                  "0",
                                  "1900000000",
                                  "000000000000000001",
                                  "9999999999999999999",
                                  "\xed\xa0\x80",
                                  "\xf4\x8f\xbf\xbf"};

std::string draw_field(FuzzedDataProvider& data, std::size_t place, const std::string& hash) {
    if (place == 0 && data.ConsumeIntegralInRange(0, 7) != 0) return hash;
    std::string text = draw_text(data, kWords);
    if (data.ConsumeIntegralInRange(0, 31) == 0) text.resize(data.ConsumeIntegralInRange<std::size_t>(4094, 4098), 'x');
    return text;
}

std::vector<Element> draw_elements(FuzzedDataProvider& data, std::size_t marks, const std::string& hash) {
    std::vector<Element> elements;
    std::size_t count = 7 + marks;
    if (data.ConsumeIntegralInRange(0, 7) == 0) count = data.ConsumeIntegralInRange<std::size_t>(0, 12);
    const bool all_nil = data.ConsumeIntegralInRange(0, 7) == 0;
    for (std::size_t place = 0; place < count; ++place) {
        ReplyType type = place < 7 && !all_nil ? ReplyType::string : ReplyType::nil;
        if (data.ConsumeIntegralInRange(0, 15) == 0) type = static_cast<ReplyType>(data.ConsumeIntegralInRange(0, 5));
        elements.push_back({type, type == ReplyType::string ? draw_field(data, place, hash) : ""});
    }
    return elements;
}

void build(ReplyBuilder& reply, const std::vector<Element>& elements) {
    reply.array(static_cast<std::uint32_t>(elements.size()));
    for (const auto& [type, text] : elements) {
        switch (type) {
            case ReplyType::string: reply.string(text); break;
            case ReplyType::status: reply.status(text); break;
            case ReplyType::error: reply.error(text); break;
            case ReplyType::integer: reply.integer(7); break;
            case ReplyType::nil: reply.nil(); break;
            case ReplyType::array: reply.array(0); break;
        }
    }
}

// UTF-8 as RFC 3629 §4 has it: the range of the second byte depends on the first, all others are 80-bf.
bool is_text(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = [&](std::size_t n) {
            return at + n < text.size() ? static_cast<unsigned char>(text[at + n]) : 0;
        };
        const int first = byte(0);
        const std::size_t length = first < 0x80   ? 1
                                   : first < 0xc2 ? 0
                                   : first < 0xe0 ? 2
                                   : first < 0xf0 ? 3
                                   : first < 0xf5 ? 4
                                                  : 0;
        if (length == 0) return false;
        const int least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        const int most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (length > 1 && (byte(1) < least || byte(1) > most)) return false;
        for (std::size_t n = 2; n < length; ++n)
            if (byte(n) < 0x80 || byte(n) > 0xbf) return false;
        at += length;
    }
    return true;
}

bool is_damaged(std::string_view field) {
    return field.size() > 4096 ||
           std::any_of(field.begin(), field.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool is_expiry(std::string_view text) {
    return text.size() <= 18 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

FactsStatus status_by_table(const std::vector<Element>& elements, std::size_t marks, const std::string& hash) {
    const auto is_nil = [](const Element& element) { return element.type == ReplyType::nil; };
    if (elements.size() != 7 + marks) return FactsStatus::mismatch;
    const auto end = elements.begin() + 7;
    if (!std::all_of(end, elements.end(), is_nil)) return FactsStatus::mismatch;
    if (!std::all_of(elements.begin(), end, [&](const Element& e) { return is_nil(e) || e.type == ReplyType::string; }))
        return FactsStatus::mismatch;
    if (std::all_of(elements.begin(), end, is_nil)) return FactsStatus::absent;
    if (!is_nil(elements[0]) && elements[0].text != hash) return FactsStatus::mismatch;
    if (std::any_of(elements.begin(), end, is_nil)) return FactsStatus::corrupt;
    const std::string& id = elements[1].text;
    const std::string& user = elements[2].text;
    const bool whole = !id.empty() && !user.empty() && is_text(id) && is_text(user) && is_expiry(elements[6].text) &&
                       std::none_of(elements.begin(), end, [](const Element& e) { return is_damaged(e.text); });
    return whole ? FactsStatus::found : FactsStatus::corrupt;
}

bool has_scope(const std::string& scopes, const std::string& wanted) {
    const std::string all = " " + scopes + " ";
    return all.find(" * ") != std::string::npos ||
           (!wanted.empty() && all.find(" " + wanted + " ") != std::string::npos);
}

void check_facts(const KeyFacts& facts, const std::vector<Element>& elements) {
    EXPECT_EQ(facts.id, elements[1].text);
    EXPECT_EQ(facts.user, elements[2].text);
    EXPECT_EQ(facts.name, elements[3].text);
    EXPECT_EQ(facts.prefix, elements[4].text);
    EXPECT_EQ(facts.scopes, elements[5].text);
    const std::string& expires = elements[6].text;
    EXPECT_EQ(facts.expires, expires.empty() ? kNeverExpires : std::max<std::int64_t>(std::stoll(expires), 1));
}

void check_packed(const KeyFacts& facts) {
    const std::string texts = facts.id + facts.user + facts.name + facts.prefix + facts.scopes;
    ASSERT_EQ(text_bytes(facts), texts.size());
    const std::unique_ptr<char[]> place(new char[texts.size()]);
    const PackedFacts packed = pack(facts, place.get());
    EXPECT_TRUE(packed == facts);
    EXPECT_EQ(std::string_view(packed.texts, packed.lengths.sum()), texts);
    KeyFacts other = facts;
    std::swap(other.name, other.prefix);
    EXPECT_EQ(packed == other, facts.name == facts.prefix);
}

void check_policy(const KeyFacts& facts, const std::string& wanted, std::int64_t now) {
    const bool granted = has_scope(facts.scopes, wanted);
    EXPECT_EQ(grants(facts.scopes, wanted), granted);
    const std::array<std::string_view, 1> required{wanted};
    const bool expired = facts.expires != kNeverExpires && now >= facts.expires;
    EXPECT_EQ(judge({facts.scopes, facts.expires}, now, required), expired   ? Verdict::expired
                                                                   : granted ? Verdict::valid
                                                                             : Verdict::forbidden);
    EXPECT_EQ(judge({facts.scopes, facts.expires}, now, {}), expired ? Verdict::expired : Verdict::valid);
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey;
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    Digest asked{};
    asked.fill(data.ConsumeIntegral<std::uint8_t>());
    const auto marks = data.ConsumeIntegralInRange<std::size_t>(0, 3);
    const auto now = data.ConsumeIntegralInRange<std::int64_t>(0, 4'000'000'000);
    const std::vector<Element> elements = draw_elements(data, marks, to_hex_string(asked));

    ReplyBuilder reply;
    build(reply, elements);
    KeyFacts facts;
    const FactsStatus status = decode_facts(reply.view(), asked, facts, marks);
    EXPECT_EQ(status, status_by_table(elements, marks, to_hex_string(asked)));
    if (status != FactsStatus::found) return 0;
    check_facts(facts, elements);
    check_packed(facts);
    const std::string wanted = draw_text(data, kWords);
    // A scope that is asked for has no spaces (nginx.conf sees to it).
    if (valid_scope(wanted)) check_policy(facts, wanted, now);
    EXPECT_EQ(valid_scope(wanted), !wanted.empty() && std::all_of(wanted.begin(), wanted.end(), [](unsigned char c) {
                  return c > 0x20 && c < 0x7f && c != '"' && c != '\\';
              }));
    return 0;
}
