#include "rehearse/certificates.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/files.h"

namespace slipway::rehearse {
namespace {

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() {
    char name[] = "/tmp/slipway-certificates-XXXXXX";
    folder = ::mkdtemp(name);
  }
  ~CertificatesTest() override { std::filesystem::remove_all(folder); }

  static std::shared_ptr<X509> parse(const std::string& pem) {
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    std::shared_ptr<X509> read(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), X509_free);
    BIO_free(bio);
    return read;
  }
  // As a client does that trusts `ca` only.
  static bool trusts(const std::string& ca, const std::string& server) {
    const auto authority = parse(ca);
    const auto leaf = parse(server);
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, authority.get());
    X509_STORE_CTX* context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    const bool trusted = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return trusted;
  }

  std::filesystem::path folder;
};

TEST_F(CertificatesTest, ClientsTrustTheServerByItsNames) {
  const auto made = make_certificates(folder, {"198.18.16.1", "localhost", "127.0.0.1"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(trusts(made->ca, made->server));
  const auto leaf = parse(made->server);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "198.18.16.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.2", 0), 0);
  EXPECT_EQ(X509_check_host(leaf.get(), "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(*read_file(folder / "server.pem"), made->server);
  for (const char* file : {"ca.key", "server.key"}) {
    struct stat info {};
    ASSERT_EQ(::stat((folder / file).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
}

TEST_F(CertificatesTest, TheAuthorityIsKept) {
  const auto first = make_certificates(folder, {"127.0.0.1"});
  const auto second = make_certificates(folder, {"127.0.0.1"});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->ca, second->ca);
  EXPECT_NE(first->server, second->server);
  EXPECT_TRUE(trusts(first->ca, second->server));
  ASSERT_TRUE(write_file(folder / "ca.key", "damaged"));
  const auto third = make_certificates(folder, {"127.0.0.1"});
  ASSERT_TRUE(third);
  EXPECT_NE(third->ca, first->ca);
  EXPECT_TRUE(trusts(third->ca, third->server));
  EXPECT_FALSE(trusts(first->ca, third->server));
  // Another's key.
  std::filesystem::copy_file(folder / "server.key", folder / "ca.key",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(make_certificates(folder, {"127.0.0.1"})->ca, third->ca);
}

}  // namespace
}  // namespace slipway::rehearse
