// Files of the spool: what was written is read back; a file that was cut or grew is none; and whatever is read was written so.
// The last bytes choose; the rest is a file, or what a batch says.
#include "core/usage/spool_file.hpp"

#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

using namespace usage;

void check_same(const std::optional<SpooledBatch>& read, const SpooledBatch& batch) {
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, batch.id);
    EXPECT_EQ(read->sealed, batch.sealed);
    EXPECT_EQ(read->keys, batch.keys);
    EXPECT_EQ(read->rows, batch.rows);
}

void check_names(const BatchId& id, const std::string& text) {
    EXPECT_EQ(parse_batch_id(batch_text(id)), id);
    EXPECT_EQ(parse_spool_name(spool_name(id)), id);
    EXPECT_TRUE(is_spool_draft_name(spool_draft_name(id, text.size())));
    EXPECT_FALSE(parse_spool_name(spool_draft_name(id, text.size())));
    if (const auto named = parse_spool_name(Exact(text))) EXPECT_EQ(spool_name(*named), text);
    if (const auto read = parse_batch_id(Exact(text))) EXPECT_EQ(batch_text(*read), text);
    EXPECT_FALSE(is_spool_draft_name(Exact(text)) && parse_spool_name(text));
}

void check_any_file(const std::string& file) {
    const Exact exact(file);
    const auto read = parse_spool_file(exact);
    if (!read) return;
    EXPECT_EQ(std::string(read->keys).append(read->rows), file.substr(file.find('\n') + 1));
    EXPECT_GE(read->sealed, 0);
    check_same(parse_spool_file(spool_file(*read)), *read);
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace apikey::test;
    FuzzedDataProvider data(bytes, size);
    const std::string zone = std::string(31, "0123456789abcdef"[data.ConsumeIntegral<std::uint8_t>() % 16]) + "7";
    const auto number = [&] {
        return data.ConsumeIntegral<std::uint64_t>() >> (1 + data.ConsumeIntegral<std::uint8_t>() % 63);
    };
    const BatchId id{zone, number(), number()};
    const auto sealed = static_cast<std::int64_t>(number());
    const auto cut = data.ConsumeIntegral<std::uint16_t>();
    const auto damage = data.ConsumeIntegral<char>();
    const std::string text = data.ConsumeRemainingBytesAsString();
    check_any_file(text);
    check_names(id, text);

    const std::string_view view(text);
    const std::size_t keys = cut % (text.size() + 1);
    const SpooledBatch batch{id, sealed, view.substr(0, keys), view.substr(keys)};
    const std::string file = spool_file(batch);
    check_same(parse_spool_file(Exact(file)), batch);
    EXPECT_FALSE(parse_spool_file(Exact(std::string_view(file).substr(0, cut % file.size()))));
    EXPECT_FALSE(parse_spool_file(file + damage));
    std::string damaged = file;
    damaged[cut % file.size()] = damage;
    check_any_file(damaged);
    return 0;
}
