// For tests of TLS: authorities, certificates and a server, all in memory.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace apikey {

struct Freed {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Key = std::unique_ptr<EVP_PKEY, Freed>;
using Certificate = std::unique_ptr<X509, Freed>;

inline constexpr long kDay = 86'400;

struct Names {
    std::string alternative;         // as in a configuration file of OpenSSL: "DNS:a,IP:127.0.0.1"; empty: none
    std::string common = "example";  // common name
    long from = -kDay, to = kDay;    // seconds from now
};

struct Authority {
    Key key{EVP_EC_gen("P-256")};
    Certificate certificate;
    std::string file;

    explicit Authority(const std::string& name) : certificate(make({"", name}, key.get(), nullptr)) {
        file = testing::TempDir() + "apikey-" + name + "-" + std::to_string(getpid()) + ".pem";
        std::FILE* out = std::fopen(file.c_str(), "w");
        PEM_write_X509(out, certificate.get());
        std::fclose(out);
    }
    ~Authority() { std::remove(file.c_str()); }
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    // For `subject_key`, signed by this authority; by itself when `issuer` is null.
    Certificate make(const Names& names, EVP_PKEY* subject_key, X509* issuer) const {
        static long serial = 0;
        Certificate made(X509_new());
        X509_set_version(made.get(), X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
        X509_gmtime_adj(X509_getm_notBefore(made.get()), names.from);
        X509_gmtime_adj(X509_getm_notAfter(made.get()), names.to);
        X509_NAME* subject = X509_get_subject_name(made.get());
        const auto* common = reinterpret_cast<const unsigned char*>(names.common.c_str());
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common, -1, -1, 0);
        X509_set_issuer_name(made.get(), issuer == nullptr ? subject : X509_get_subject_name(issuer));
        X509_set_pubkey(made.get(), subject_key);
        if (issuer == nullptr) extend(made.get(), NID_basic_constraints, "critical,CA:TRUE");
        if (!names.alternative.empty()) extend(made.get(), NID_subject_alt_name, names.alternative);
        X509_sign(made.get(), key.get(), EVP_sha256());
        return made;
    }

    static void extend(X509* certificate, int what, const std::string& value) {
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
    }
};

// The other end of a TlsSession.
class TlsServer {
  public:
    TlsServer(const Authority& authority, const Names& names, int version = TLS1_3_VERSION)
        : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
        const Key key(EVP_EC_gen("P-256"));
        const Certificate certificate = authority.make(names, key.get(), authority.certificate.get());
        SSL_CTX_use_certificate(context_.get(), certificate.get());
        SSL_CTX_use_PrivateKey(context_.get(), key.get());
        SSL_CTX_set_max_proto_version(context_.get(), version);
        ssl_.reset(SSL_new(context_.get()));
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl_.get(), in_, out_);
        SSL_set_accept_state(ssl_.get());
    }

    void feed(std::string_view wire) {
        if (!wire.empty()) BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
        std::array<char, 16384> room{};
        for (int n = 0; (n = SSL_read(ssl_.get(), room.data(), room.size())) > 0;)
            received.append(room.data(), static_cast<std::size_t>(n));
    }
    void write(std::string_view plain) { SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())); }
    std::string output() {
        std::string bytes(BIO_ctrl_pending(out_), '\0');
        if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
        return bytes;
    }
    [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

    std::string received;  // plain

  private:
    std::shared_ptr<SSL_CTX> context_;
    std::unique_ptr<SSL, Freed> ssl_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
};

}  // namespace apikey
