#include "core/base64url.hpp"

#include <gtest/gtest.h>

namespace apikey {
namespace {

TEST(Base64Url, WritesTheExamplesOfTheRfc) {
    EXPECT_EQ(to_base64url(""), "");
    EXPECT_EQ(to_base64url("f"), "Zg");
    EXPECT_EQ(to_base64url("fo"), "Zm8");
    EXPECT_EQ(to_base64url("foo"), "Zm9v");
    EXPECT_EQ(to_base64url("foob"), "Zm9vYg");
    EXPECT_EQ(to_base64url("\xfb\xff"), "-_8");
}

TEST(Base64Url, ReadsBackWhatItWrites) {
    std::string all;
    for (int byte = 0; byte < 256; ++byte) {
        all += static_cast<char>(byte);
        EXPECT_EQ(from_base64url(to_base64url(all)), all);
    }
}

TEST(Base64Url, RefusesEverythingElse) {
    for (const char* text : {"Z", "Zg==", "Zh", "Zm9", "Zm9vY", "Zm+v", "Zm/v", "Zm 9", "Zm9v\n", "\xc3\xa4"})
        EXPECT_EQ(from_base64url(text), std::nullopt) << text;
}

}  // namespace
}  // namespace apikey
