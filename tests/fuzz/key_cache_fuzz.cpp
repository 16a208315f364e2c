// The key cache against its model, whose steps the input chooses. A small cache, so that keys soon compete for their buckets.
#include "tests/core/key_cache_model.hpp"

#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider data(bytes, size);
    const auto keys = data.ConsumeIntegralInRange<std::uint64_t>(1, 120);
    const auto room = data.ConsumeIntegralInRange<std::size_t>(apikey::KeyCache::kMinBytes, 40'000);
    apikey::test::KeyCacheModel model(apikey::test::FuzzedDraw(data), keys, room);
    for (int steps = 1; data.remaining_bytes() > 0; ++steps) {
        model.step();
        if (steps % 100 == 0) model.check_all();
    }
    model.check_all();
    return 0;
}
