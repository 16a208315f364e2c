// Who is believed to be Redis over TLS, and that bytes may come in any pieces.
// Hazards: R25, R13
#include "core/tls_session.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <array>
#include <fstream>

#include "tests/core/tls_server.hpp"

namespace apikey {
namespace {

TlsContext trusting(const std::string& file) {
    auto context = make_tls_context(file);
    EXPECT_TRUE(context.ok());
    return context ? *context : nullptr;
}

// Carries bytes between both, at most `piece` at once, until nobody has more to say; false when the session gave up. What
// the server said is in `heard`.
bool talk(TlsSession& session, TlsServer& server, std::string& heard, std::size_t piece = 1 << 20) {
    for (;;) {
        const std::string to_server(session.output());
        session.written(to_server.size());
        for (std::size_t at = 0; at < to_server.size(); at += piece)
            server.feed(std::string_view(to_server).substr(at, piece));
        const std::string to_client = server.output();
        if (to_server.empty() && to_client.empty()) return true;
        for (std::size_t at = 0; at < to_client.size(); at += piece) {
            if (!session.feed(std::string_view(to_client).substr(at, piece))) return false;
            if (!session.is_up()) continue;
            std::array<char, 100> room{};
            for (;;) {
                const auto count = session.read(room);
                if (!count) return false;
                if (*count == 0) break;
                heard.append(room.data(), *count);
            }
        }
    }
}

// Empty: `host` was believed to be who shows such a certificate; else why not.
std::string verdict(const std::string& host, const Names& names) {
    const Authority authority("ours");
    TlsSession session(trusting(authority.file), host);
    TlsServer server(authority, names);
    std::string heard;
    const bool believed = talk(session, server, heard);
    EXPECT_EQ(believed, session.is_up());
    EXPECT_EQ(ERR_peek_error(), 0U) << "left for nginx to find";
    return session.why();
}

bool refused(const std::string& host, const Names& names, const std::string& reason) {
    return verdict(host, names).find("does not prove that it is " + host + " (" + reason + ")") != std::string::npos;
}

TEST(TlsSession, CarriesBytesInAnyPieces) {
    const Authority authority("ours");
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{1} << 20}) {
            TlsSession session(trusting(authority.file), "localhost");
            TlsServer server(authority, {"DNS:localhost"}, version);
            std::string heard;
            ASSERT_TRUE(talk(session, server, heard, piece)) << session.why();
            ASSERT_TRUE(session.is_up());
            EXPECT_EQ(SSL_version(server.ssl()), version);
            const std::string much(50'000, 'x');
            ASSERT_TRUE(session.write("PING") && session.write(much));
            server.write(much + "PONG");
            ASSERT_TRUE(talk(session, server, heard, piece)) << session.why();
            EXPECT_EQ(server.received, "PING" + much);
            EXPECT_EQ(heard, much + "PONG");
        }
    }
}

TEST(TlsSession, BelievesWhoeverProvesTheName) {
    EXPECT_EQ(verdict("redis.example.com", {"DNS:a.example.com,DNS:redis.example.com"}), "");
    EXPECT_EQ(verdict("REDIS.example.com", {"DNS:redis.example.com"}), "");
    EXPECT_EQ(verdict("redis.example.com.", {"DNS:redis.example.com"}), "");
    EXPECT_EQ(verdict("redis.example.com", {"DNS:*.example.com"}), "");
    EXPECT_EQ(verdict("redis.example.com", {"", "redis.example.com"}), "");
    EXPECT_EQ(verdict("127.0.0.1", {"IP:127.0.0.1"}), "");
    EXPECT_EQ(verdict("::1", {"IP:::1"}), "");
}

TEST(TlsSession, BelievesNobodyElse) {
    constexpr const char* kName = "hostname mismatch";
    EXPECT_TRUE(refused("redis.example.com", {"DNS:redis.example.org"}, kName));
    EXPECT_TRUE(refused("redis.example.com", {"DNS:example.com"}, kName));
    EXPECT_TRUE(refused("redis.example.com", {"DNS:r*.example.com"}, kName));
    EXPECT_TRUE(refused("a.b.example.com", {"DNS:*.example.com"}, kName));
    EXPECT_TRUE(refused("example.com", {"DNS:*.com,DNS:*"}, kName));
    EXPECT_TRUE(refused("redis.example.com", {"DNS:other", "redis.example.com"}, kName))
        << "DNS names hide the common one";
    EXPECT_TRUE(refused("127.0.0.1", {"DNS:127.0.0.1", "127.0.0.1"}, "IP address mismatch"));
    EXPECT_TRUE(refused("127.0.0.1", {"IP:127.0.0.2"}, "IP address mismatch"));
    EXPECT_TRUE(refused("a", {"DNS:a", "", -2 * kDay, -kDay}, "certificate has expired"));
    EXPECT_TRUE(refused("a", {"DNS:a", "", kDay, 2 * kDay}, "certificate is not yet valid"));
}

TEST(TlsSession, BelievesNoOtherAuthority) {
    const Authority ours("ours");
    const Authority theirs("theirs");
    for (const std::string& file : {ours.file, std::string()}) {
        TlsSession session(trusting(file), "a");
        TlsServer server(theirs, {"DNS:a"});
        std::string heard;
        EXPECT_FALSE(talk(session, server, heard));
        EXPECT_FALSE(session.is_up());
        EXPECT_NE(session.why().find("unable to get local issuer certificate"), std::string::npos) << session.why();
        EXPECT_FALSE(session.output().empty()) << "the alert for the server";
    }
}

TEST(TlsSession, SpeaksNothingOlderThan1_2) {
    const Authority authority("ours");
    EXPECT_EQ(SSL_CTX_get_min_proto_version(trusting(authority.file).get()), TLS1_2_VERSION);
}

TEST(TlsSession, NamesTheServerItWants) {
    const Authority authority("ours");
    for (const auto& [host, wanted] :
         {std::pair("redis.example.com.", "redis.example.com"), std::pair("127.0.0.1", "")}) {
        TlsSession session(trusting(authority.file), host);
        TlsServer server(authority, {"DNS:redis.example.com,IP:127.0.0.1"});
        std::string heard;
        ASSERT_TRUE(talk(session, server, heard)) << session.why();
        const char* named = SSL_get_servername(server.ssl(), TLSEXT_NAMETYPE_host_name);
        EXPECT_STREQ(named == nullptr ? "" : named, wanted);
    }
}

TEST(TlsSession, SaysWhenTheServerSpeaksNoTls) {
    const Authority authority("ours");
    for (const std::string text : {"-ERR unknown command\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x01"}) {
        TlsSession session(trusting(authority.file), "a");
        const bool alive = session.feed(text);
        EXPECT_EQ(alive, text.size() < 5) << "a record's first bytes could still become one";
        EXPECT_EQ(session.why().find("speak TLS on this port") != std::string::npos, !alive) << session.why();
        EXPECT_FALSE(!alive && session.feed("more")) << "it is over";
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
}

TEST(TlsSession, NoticesTheEndAndWhatWasSpoilt) {
    const Authority authority("ours");
    for (const bool spoil : {false, true}) {
        TlsSession session(trusting(authority.file), "a");
        TlsServer server(authority, {"DNS:a"});
        std::string heard;
        ASSERT_TRUE(talk(session, server, heard));
        SSL_shutdown(server.ssl());
        std::string wire = server.output();
        if (spoil) wire.back() = static_cast<char>(wire.back() ^ 1);
        std::array<char, 10> room{};
        ASSERT_TRUE(session.feed(wire));
        EXPECT_FALSE(session.read(room));
        EXPECT_EQ(session.why().find("it closed the connection") == 0, !spoil) << session.why();
        EXPECT_EQ(session.why().find("TLS failed (") == 0, spoil) << session.why();
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
}

TEST(TlsSession, AnswersNewKeys) {
    const Authority authority("ours");
    TlsSession session(trusting(authority.file), "a");
    TlsServer server(authority, {"DNS:a"});
    std::string heard;
    ASSERT_TRUE(talk(session, server, heard));
    SSL_key_update(server.ssl(), SSL_KEY_UPDATE_REQUESTED);
    server.write("one");
    ASSERT_TRUE(talk(session, server, heard)) << session.why();
    ASSERT_TRUE(session.write("two"));
    server.write("three");
    ASSERT_TRUE(talk(session, server, heard)) << session.why();
    EXPECT_EQ(heard, "onethree");
    EXPECT_EQ(server.received, "two");
}

TEST(TlsContext, SaysWhatIsWrongWithTheFile) {
    const std::string garbage = testing::TempDir() + "apikey-garbage-" + std::to_string(getpid()) + ".pem";
    for (const char* text : {"", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
        std::ofstream(garbage) << text;
        const auto context = make_tls_context(garbage);
        ASSERT_FALSE(context.ok()) << text;
        EXPECT_EQ(context.error().find('"' + garbage + "\" cannot be used ("), 0U) << context.error();
        EXPECT_EQ(ERR_peek_error(), 0U);
    }
    std::remove(garbage.c_str());
    const auto missing = make_tls_context(garbage);
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().find("No such file or directory"), std::string::npos) << missing.error();
}

}  // namespace
}  // namespace apikey
