#include "core/usage/spool_file.hpp"

#include <algorithm>
#include <array>

#include "core/decimal.hpp"

namespace apikey::usage {
namespace {

constexpr std::string_view kMagic = "api-key-usage 1 ";
constexpr std::string_view kDraftSuffix = ".tmp";
constexpr std::size_t kIdWords = 3;
constexpr std::size_t kWords = kIdWords + 3;

}  // namespace

std::string spool_name(const BatchId& id) {
    std::string name = batch_text(id);
    std::replace(name.begin(), name.end(), ' ', '-');
    return name.append(kSpoolSuffix);
}

std::optional<BatchId> parse_spool_name(std::string_view name) {
    if (!name.ends_with(kSpoolSuffix)) return std::nullopt;
    name.remove_suffix(kSpoolSuffix.size());
    if (name.find(' ') != std::string_view::npos) return std::nullopt;
    std::string id(name);
    std::replace(id.begin(), id.end(), '-', ' ');
    return parse_batch_id(id);
}

std::string spool_draft_name(const BatchId& id, std::uint64_t pid) {
    return spool_name(id).append(".").append(std::to_string(pid)).append(kDraftSuffix);
}

bool is_spool_draft_name(std::string_view name) {
    if (!name.ends_with(kDraftSuffix)) return false;
    name.remove_suffix(kDraftSuffix.size());
    const std::size_t dot = name.rfind('.');
    return dot != std::string_view::npos && parse_decimal(name.substr(dot + 1)) &&
           parse_spool_name(name.substr(0, dot));
}

std::string spool_file(const SpooledBatch& batch) {
    std::string file(kMagic);
    file.append(batch_text(batch.id)).append(" ").append(std::to_string(batch.sealed));
    file.append(" ").append(std::to_string(batch.keys.size()));
    file.append(" ").append(std::to_string(batch.rows.size())).append("\n");
    return file.append(batch.keys).append(batch.rows);
}

std::optional<SpooledBatch> parse_spool_file(std::string_view file) {
    const std::size_t end = file.find('\n');
    if (!file.starts_with(kMagic) || end == std::string_view::npos) return std::nullopt;
    const std::string_view head = file.substr(kMagic.size(), end - kMagic.size());
    const std::string_view body = file.substr(end + 1);
    std::array<std::string_view, kWords> words;
    std::size_t at = 0;
    std::size_t id_bytes = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::size_t stop = i + 1 < words.size() ? head.find(' ', at) : head.size();
        if (stop == std::string_view::npos || stop < at) return std::nullopt;
        words[i] = head.substr(at, stop - at);
        if (i + 1 == kIdWords) id_bytes = stop;
        at = stop + 1;
    }
    const auto id = parse_batch_id(head.substr(0, id_bytes));
    const auto sealed = parse_decimal(words[kIdWords]);
    const auto keys = parse_decimal(words[kIdWords + 1]);
    const auto rows = parse_decimal(words[kIdWords + 2]);
    if (!id || !sealed || *sealed > INT64_MAX || !keys || *keys > body.size() || !rows || *rows != body.size() - *keys)
        return std::nullopt;
    return SpooledBatch{*id, static_cast<std::int64_t>(*sealed), body.substr(0, *keys), body.substr(*keys)};
}

}  // namespace apikey::usage
