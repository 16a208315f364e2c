#include "core/key_facts.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/core/allocations.hpp"
#include "tests/core/reply_builder.hpp"

namespace apikey {

void PrintTo(FactsStatus status, std::ostream* out) {
    constexpr std::array kNames = {"found", "absent", "corrupt", "mismatch"};
    *out << kNames.at(static_cast<std::size_t>(status));
}

namespace {

using test::ReplyBuilder;
using Fields = std::vector<std::optional<std::string>>;  // nothing = nil

enum Field : std::size_t { kHash, kId, kUser, kName, kPrefix, kScopes, kExpires };
constexpr std::array kAllFields = {kHash, kId, kUser, kName, kPrefix, kScopes, kExpires};

const Digest kAsked = *from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

Fields good() {
    return {to_hex_string(kAsked),  "6f9c",      "ann", "Ann's \xf0\x9f\x94\x91", "ia_abcdefghi",
            "usage:read keys:read", "1900000000"};
}

Fields with(Field field, std::optional<std::string> value) {
    Fields fields = good();
    fields[field] = std::move(value);
    return fields;
}

ReplyBuilder reply_of(const Fields& fields) {
    ReplyBuilder reply;
    reply.array(static_cast<std::uint32_t>(fields.size()));
    for (const auto& field : fields)
        field ? reply.string(*field) : reply.nil();
    return reply;
}

FactsStatus decode(const ReplyBuilder& reply, KeyFacts& facts) {
    return decode_facts(reply.view(), kAsked, facts);
}

FactsStatus decode(const Fields& fields) {
    KeyFacts facts;
    return decode(reply_of(fields), facts);
}

TEST(KeyFacts, AreReadFromAGoodReply) {
    KeyFacts facts;
    ASSERT_EQ(decode(reply_of(good()), facts), FactsStatus::found);
    EXPECT_EQ(facts.id, "6f9c");
    EXPECT_EQ(facts.user, "ann");
    EXPECT_EQ(facts.name, "Ann's \xf0\x9f\x94\x91");
    EXPECT_EQ(facts.prefix, "ia_abcdefghi");
    EXPECT_EQ(facts.scopes, "usage:read keys:read");
    EXPECT_EQ(facts.expires, 1'900'000'000);
}

TEST(KeyFacts, AllNilIsNobodysKey) {
    EXPECT_EQ(decode(Fields(7)), FactsStatus::absent);
}

// One bit, one character, another key, another case: nothing but the hash that was asked for.
// Hazards: R14
TEST(KeyFacts, AnotherHashIsAnotherQuestion) {
    const std::string hex = to_hex_string(kAsked);
    for (std::size_t at = 0; at < hex.size(); ++at) {
        std::string other = hex;
        other[at] = other[at] == '0' ? '1' : '0';
        ASSERT_EQ(decode(with(kHash, other)), FactsStatus::mismatch) << at;
    }
    std::string upper = hex;
    upper[0] = 'B';
    for (const std::string& other : {std::string(), upper, hex + "0", hex.substr(1), hex + '\0'}) {
        EXPECT_EQ(decode(with(kHash, other)), FactsStatus::mismatch) << other;
    }
    Fields fields(7);
    fields[kHash] = std::string(64, '0');
    EXPECT_EQ(decode(fields), FactsStatus::mismatch);
}

// Hazards: R16, R17
TEST(KeyFacts, OneNilAmongOthersIsCorrupt) {
    for (const Field field : kAllFields) {
        EXPECT_EQ(decode(with(field, std::nullopt)), FactsStatus::corrupt) << kFactFields.at(field);
    }
    for (const Field field : kAllFields) {
        Fields only(7);
        only[field] = good()[field];
        EXPECT_EQ(decode(only), FactsStatus::corrupt) << kFactFields.at(field);
    }
}

// Hazards: R17
TEST(KeyFacts, IdAndUserMustNotBeEmpty) {
    EXPECT_EQ(decode(with(kId, "")), FactsStatus::corrupt);
    EXPECT_EQ(decode(with(kUser, "")), FactsStatus::corrupt);
    for (const Field field : {kName, kPrefix, kScopes, kExpires}) {
        EXPECT_EQ(decode(with(field, "")), FactsStatus::found) << kFactFields.at(field);
    }
}

// Hazards: R16
TEST(KeyFacts, ControlBytesAreCorrupt) {
    for (const Field field : {kId, kUser, kName, kPrefix, kScopes, kExpires}) {
        for (int byte = 0; byte < 256; ++byte) {
            const bool control = byte < 0x20 || byte == 0x7f;
            const std::string value = std::string("1") + static_cast<char>(byte) + "1";
            if (field == kExpires && !control) continue;
            if (byte >= 0x80 && (field == kId || field == kUser)) continue;  // no UTF-8
            EXPECT_EQ(decode(with(field, value)), control ? FactsStatus::corrupt : FactsStatus::found)
                << kFactFields.at(field) << ' ' << byte;
        }
    }
}

// What becomes part of usage must be text for Postgres.
// Hazards: D12
TEST(KeyFacts, IdsThatAreNoUtf8AreCorrupt) {
    for (const Field field : {kId, kUser}) {
        EXPECT_EQ(decode(with(field, "Zoë")), FactsStatus::found);
        EXPECT_EQ(decode(with(field, "Zo\xEB")), FactsStatus::corrupt);
        EXPECT_EQ(decode(with(field, "\xC3")), FactsStatus::corrupt);
    }
}

// Hazards: R16
TEST(KeyFacts, LongFieldsAreCorrupt) {
    for (const Field field : {kId, kUser, kName, kPrefix, kScopes}) {
        EXPECT_EQ(decode(with(field, std::string(kMaxFieldBytes, 'x'))), FactsStatus::found);
        EXPECT_EQ(decode(with(field, std::string(kMaxFieldBytes + 1, 'x'))), FactsStatus::corrupt);
    }
}

// Hazards: R16
TEST(KeyFacts, ExpiryIsDigitsOrNothing) {
    const auto expiry = [](const std::string& text) {
        KeyFacts facts;
        EXPECT_EQ(decode(reply_of(with(kExpires, text)), facts), FactsStatus::found) << text;
        return facts.expires;
    };
    EXPECT_EQ(expiry(""), kNeverExpires);
    EXPECT_EQ(expiry("1"), 1);
    EXPECT_EQ(expiry("0001900000000"), 1'900'000'000);
    EXPECT_EQ(expiry("999999999999999999"), 999'999'999'999'999'999);
    // A key that ended with the first second of 1970 must not become one that never ends.
    EXPECT_NE(expiry("0"), kNeverExpires);
    EXPECT_NE(expiry("000000000000000000"), kNeverExpires);
    for (const char* const bad : {"never", "-1", "-0", "+1", " 1", "1 ", "1.5", "1e9", "0x10", "nil",
                                  "1000000000000000000", "99999999999999999999999", "1900000000s"}) {
        EXPECT_EQ(decode(with(kExpires, bad)), FactsStatus::corrupt) << bad;
    }
}

// What is no answer to HMGET at all.
// Hazards: R10, R14
TEST(KeyFacts, AnotherShapeIsAnotherQuestion) {
    KeyFacts facts;
    const std::string hex = to_hex_string(kAsked);
    const std::vector<ReplyBuilder> replies = {
        ReplyBuilder().nil(),
        ReplyBuilder().string(hex),
        ReplyBuilder().status("OK"),
        ReplyBuilder().integer(7),
        ReplyBuilder().error("WRONGTYPE Operation against a key"),
        ReplyBuilder().array(0),
        reply_of(Fields(6)),
        reply_of(Fields(8)),
    };
    for (const ReplyBuilder& reply : replies)
        EXPECT_EQ(decode(reply, facts), FactsStatus::mismatch);
}

TEST(KeyFacts, ElementsAreStringsOrNils) {
    for (const Field odd : kAllFields) {
        for (int kind = 0; kind < 4; ++kind) {
            ReplyBuilder reply;
            reply.array(7);
            for (const Field field : kAllFields) {
                if (field != odd)
                    reply.string(*good()[field]);
                else if (kind == 0)
                    reply.integer(1);
                else if (kind == 1)
                    reply.status(*good()[field]);
                else if (kind == 2)
                    reply.error(*good()[field]);
                else
                    reply.array(0);
            }
            KeyFacts facts;
            EXPECT_EQ(decode(reply, facts), FactsStatus::mismatch) << kFactFields.at(odd) << kind;
        }
    }
}

// A reply that found nothing names no key; its length must then be that of its place in line.
// Hazards: R14
TEST(KeyFacts, MarksTellTheReplysPlace) {
    KeyFacts facts;
    for (std::size_t asked = 0; asked < 4; ++asked) {
        for (std::size_t got = 0; got < 4; ++got) {
            Fields unknown(kFactFields.size() + got);
            Fields known = good();
            known.resize(known.size() + got);
            const auto decode_at = [&](const Fields& fields) {
                return decode_facts(reply_of(fields).view(), kAsked, facts, asked);
            };
            const bool here = asked == got;
            EXPECT_EQ(decode_at(unknown), here ? FactsStatus::absent : FactsStatus::mismatch) << asked << got;
            EXPECT_EQ(decode_at(known), here ? FactsStatus::found : FactsStatus::mismatch) << asked << got;
            for (std::size_t mark = 0; mark < got; ++mark) {
                Fields marked = unknown;
                marked[kFactFields.size() + mark] = "no hash has this field";
                EXPECT_EQ(decode_at(marked), FactsStatus::mismatch) << asked << got;
            }
        }
    }
}

TEST(KeyFacts, DoNotAllocateOnceWarm) {
    const ReplyBuilder reply = reply_of(with(kName, std::string(200, 'n')));
    KeyFacts facts;
    ASSERT_EQ(decode(reply, facts), FactsStatus::found);
    EXPECT_EQ(test::allocations_of([&] { (void)decode(reply, facts); }), 0u);
}

TEST(AnswersQuestion, TakesTheHashThatWasAskedForOnly) {
    EXPECT_TRUE(answers_question(to_hex_string(kAsked), kAsked));
    EXPECT_FALSE(answers_question(to_hex_string(kAsked), Digest{}));
    EXPECT_FALSE(answers_question("", kAsked));
    EXPECT_EQ(test::allocations_of([] { (void)answers_question("", kAsked); }), 0u);
}

}  // namespace
}  // namespace apikey
