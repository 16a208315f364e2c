#include "sidecar/usage_spool.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "core/decimal.hpp"

namespace apikey {
namespace {

constexpr std::string_view kEnding = ".usage";
constexpr std::size_t kZoneDigits = 32;

void count(const std::filesystem::path& path, UsageSpool& spool) {
    struct stat file{};
    if (lstat(path.c_str(), &file) != 0) return;  // shipped just now
    if (!S_ISREG(file.st_mode) || !is_spool_file(path.filename().native())) {
        ++spool.others;
        return;
    }
    ++spool.files;
    spool.bytes += static_cast<std::uint64_t>(file.st_size);
    const std::int64_t written = file.st_mtim.tv_sec;
    spool.oldest = spool.oldest == 0 ? written : std::min(spool.oldest, written);
}

}  // namespace

bool is_spool_file(std::string_view name) noexcept {
    if (!name.ends_with(kEnding)) return false;
    name.remove_suffix(kEnding.size());
    const std::string_view zone = name.substr(0, name.find('-'));
    if (zone.size() != kZoneDigits || zone.size() == name.size()) return false;
    if (zone.find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
    name.remove_prefix(kZoneDigits + 1);
    const std::size_t dash = std::min(name.find('-'), name.size());
    return dash < name.size() && parse_decimal(name.substr(0, dash)) && parse_decimal(name.substr(dash + 1));
}

Result<UsageSpool> look_into_spool(const std::string& directory) {
    std::error_code error;
    UsageSpool spool;
    std::filesystem::directory_iterator entry(directory, error);
    while (!error && entry != std::filesystem::directory_iterator()) {
        count(entry->path(), spool);
        entry.increment(error);
    }
    if (error) return Error{"the spool \"" + directory + "\" cannot be read: " + error.message()};
    return spool;
}

}  // namespace apikey
