// A batch in a file: what nginx could not hand to Redis before it stopped, or before its memory was full.
//
//   file := "api-key-usage 1 " batch " " sealed " " bytes of keys " " bytes of rows LF keys rows
//   name := zone "-" slot "-" sequence ".usage"          draft := name "." pid ".tmp"
//
// A file is whole or it is none: the sizes say so. Files of other names in the folder are left alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/usage/batch_text.hpp"

namespace apikey::usage {

inline constexpr std::string_view kSpoolSuffix = ".usage";

struct SpooledBatch {
    BatchId id;
    std::int64_t sealed = 0;  // unix milliseconds
    std::string_view keys;
    std::string_view rows;
};

[[nodiscard]] std::string spool_name(const BatchId& id);
// Nothing when it is no name of ours.
[[nodiscard]] std::optional<BatchId> parse_spool_name(std::string_view name);
// The name under which a process writes a file until it is whole, and whether a name is one.
[[nodiscard]] std::string spool_draft_name(const BatchId& id, std::uint64_t pid);
[[nodiscard]] bool is_spool_draft_name(std::string_view name);
[[nodiscard]] std::string spool_file(const SpooledBatch& batch);
// The views are into `file`. Nothing when it is no whole file of this form.
[[nodiscard]] std::optional<SpooledBatch> parse_spool_file(std::string_view file);

}  // namespace apikey::usage
