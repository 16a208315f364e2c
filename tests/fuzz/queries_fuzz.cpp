// Queries of exports and imports: what is read is read again from what is written of it, a message is one line, and the name of a file
// holds nothing that a header field or a file system minds.
#include "core/transfer/queries.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

bool is_plain(const std::string& name) {
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == 'T' || c == 'Z';
    });
}

bool is_of_a_url(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

void check_message(const std::string& message) {
    EXPECT_TRUE(std::none_of(message.begin(), message.end(), [](char c) { return c >= 0 && c < 0x20; })) << message;
    EXPECT_LT(message.size(), 400U);
}

template <class Query>
Result<Query> checked(Result<Query> query) {
    if (!query) check_message(query.error());
    return query;
}

void check(std::string_view text) {
    const auto parameters = checked(read_query(text));
    if (!parameters) return;
    const std::string written = write_query(*parameters);
    EXPECT_TRUE(is_of_a_url(written));
    if (written.size() <= kMostQueryBytes) EXPECT_EQ(*read_query(written), *parameters);
    if (const auto query = checked(usage_export_query(*parameters)))
        EXPECT_TRUE(is_plain(download_name(*query, Instant{})));
    if (const auto query = checked(conversation_query(*parameters)))
        EXPECT_TRUE(is_plain(download_name(*query, Instant{})));
    static_cast<void>(checked(usage_summary_query(*parameters)).ok());
    static_cast<void>(checked(import_query(*parameters)).ok());
    static_cast<void>(checked(conversation_list_query(*parameters)).ok());
    for (const auto& page : {checked(key_page_query(*parameters)), checked(audit_page_query(*parameters))})
        if (page) EXPECT_TRUE(page->limit >= 1 && page->limit <= PageQuery::kMost);
}

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    apikey::test::check(apikey::test::Exact({reinterpret_cast<const char*>(data), size}));
    return 0;
}
