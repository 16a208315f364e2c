#include "core/byte_run.hpp"

#include <gtest/gtest.h>

#include <string>

namespace apikey {
namespace {

bool is_control(int byte) {
    return byte < 0x20 || byte == 0x7f;
}

// Eight bytes are looked at together, and what is left one by one: every byte, at every place of both.
TEST(ByteRun, FindsAControlByteWhereverItIs) {
    for (std::size_t length = 1; length <= 17; ++length) {
        for (std::size_t at = 0; at < length; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string text(length, '\xc3');
                text[at] = static_cast<char>(byte);
                ASSERT_EQ(has_control_byte(text), is_control(byte)) << byte << " at " << at << " of " << length;
                ASSERT_EQ(run_before<ControlsAnd<'\x7f'>>(text), is_control(byte) ? at : length);
            }
        }
    }
    EXPECT_FALSE(has_control_byte(""));
}

TEST(ByteRun, EndsAtTheFirstStop) {
    EXPECT_EQ((run_before<ControlsAnd<'"', '\\'>>("a long text without an end, then \" and \\")), 33U);
    EXPECT_EQ((run_before<ControlsAnd<'"', '\\'>>("")), 0U);
}

}  // namespace
}  // namespace apikey
