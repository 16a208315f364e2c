// What the fuzz targets have in common. They check with GoogleTest, as the unit tests do whose models they use; the first check
// that fails ends the program, and libFuzzer keeps the input.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

// Called by libFuzzer, once. Each target includes this file, and is one file.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    GTEST_FLAG_SET(throw_on_failure, true);  // and nobody catches it
    return 0;
}

namespace apikey::test {

// A copy whose memory ends where the text ends: AddressSanitizer sees a look behind it.
class Exact {
  public:
    explicit Exact(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
        if (!text.empty()) std::memcpy(bytes_.get(), text.data(), text.size());
    }
    operator std::string_view() const { return {bytes_.get(), size_}; }  // NOLINT(google-explicit-constructor)

  private:
    std::unique_ptr<char[]> bytes_;
    std::size_t size_;
};

// Numbers that the input chooses, for what is else left to chance.
class FuzzedDraw {
  public:
    explicit FuzzedDraw(FuzzedDataProvider& data) : data_(data) {}

    std::uint64_t operator()(std::uint64_t limit) const {
        return data_.ConsumeIntegralInRange<std::uint64_t>(0, limit - 1);
    }
    std::uint32_t operator()() const { return data_.ConsumeIntegral<std::uint16_t>(); }

  private:
    FuzzedDataProvider& data_;
};

// A short text: mostly of one of `words`, whole, cut or with bytes put in, else any bytes.
template <class Words>
std::string draw_text(FuzzedDataProvider& data, const Words& words) {
    std::string text;
    if (data.ConsumeIntegralInRange(0, 3) != 0) text = data.PickValueInArray(words);
    if (data.ConsumeBool()) return text;
    const std::size_t at = data.ConsumeIntegralInRange<std::size_t>(0, text.size());
    text.erase(at, data.ConsumeIntegralInRange<std::size_t>(0, 3));
    return text.insert(at, data.ConsumeRandomLengthString(40));
}

}  // namespace apikey::test
