// Any bytes as a response, in any pieces: what is read does not depend on how they were cut, and keeps to what the header
// promises. The first byte says the format, the second where to cut; the rest is the body.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "tests/core/llm_usage_reading.hpp"

namespace {

using apikey::test::Outcome;
using apikey::test::Reading;
using apikey::usage::LlmUsage;

void require(bool holds, const char* what, const Reading& one, const Reading& other) {
    if (holds) return;
    std::cerr << what << ":\n  " << one << "\n  " << other << '\n';
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 2) return 0;
    const auto format = (bytes[0] & 1) == 0 ? LlmUsage::Format::json : LlmUsage::Format::event_stream;
    const std::string_view body(reinterpret_cast<const char*>(bytes) + 2, size - 2);

    const Reading whole = apikey::test::read_whole(format, body);
    const Reading bytewise = apikey::test::read_bytewise(format, body);
    const Reading split = apikey::test::read_split(format, body, body.size() * bytes[1] / 255);
    require(bytewise == whole, "byte by byte it is another", whole, bytewise);
    require(split == whole, "split it is another", whole, split);

    const bool counts = whole.outcome == Outcome::found;
    require(counts || (whole.in == 0 && whole.out == 0 && whole.cached == 0), "tokens without usage", whole, {});
    require(whole.in <= INT64_MAX && whole.out <= INT64_MAX && whole.cached <= whole.in, "tokens out of range", whole,
            {});
    require(whole.model.size() <= LlmUsage::kMostModelBytes && whole.model.find('\0') == std::string::npos, "model",
            whole, {});
    return 0;
}
