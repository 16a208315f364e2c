// A usage slot against its model, whose steps the input chooses.
#include "tests/core/usage_slot_model.hpp"

#include "tests/fuzz/fuzz.hpp"

namespace {

constexpr std::size_t kSmallest = apikey::usage::UsageSlot::kFewestBytes;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider data(bytes, size);
    // Only one of the kinds of labels is more than what every slot has room for.
    const bool many_endpoints = data.ConsumeBool();
    const auto few = data.ConsumeIntegralInRange<std::size_t>(1, 10);
    const auto many = data.ConsumeIntegralInRange<std::size_t>(1, 60);
    const apikey::test::SlotWorld world{
        .bytes = data.ConsumeIntegralInRange<std::size_t>(kSmallest, 2 * kSmallest),
        .keys = data.ConsumeIntegralInRange<std::size_t>(1, 255),
        .endpoints = many_endpoints ? std::max(few, many) : few,
        .models = many_endpoints ? few : std::max(few, many),
        .sequence = data.ConsumeIntegral<std::uint64_t>() >> 2,
    };
    apikey::test::UsageSlotModel model(world, apikey::test::FuzzedDraw(data));
    while (data.remaining_bytes() > 0)
        model.step();
    model.end();
    return 0;
}
