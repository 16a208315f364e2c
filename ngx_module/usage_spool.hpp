// api_key_spool: a folder for batches that could not be handed to Redis before nginx stopped, or before its memory was
// full, and their way from there to Redis. Files and their names: core/usage/spool_file.hpp.
//
// A file appears whole or not at all (written under another name, on disk, then renamed). Any number of workers may look
// after one folder: who has a file's lock (flock) sends it, and takes it away when it is safe in Redis. That a batch also
// lies in a slot, or is sent twice, does no harm: its number is counted once.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/usage/spool_file.hpp"
#include "ngx_module/usage_source.hpp"

namespace apikey::ngx {

class UsageSpool final : public UsageSource {
  public:
    explicit UsageSpool(std::string folder);
    ~UsageSpool() override;

    // Writes a batch. Nothing: done, but for sync(); else what failed. Throws std::bad_alloc.
    std::optional<std::string> write(const Entry& entry);
    // What was written is on the disk, names too. Nothing: done; else what failed.
    std::optional<std::string> sync();

    struct Found {
        bool more = false;    // there may be more than this worker can send at a time
        std::string problem;  // what is wrong with the folder or one of its files; empty: nothing
    };
    // Looks for files that nobody sends, and takes some. Throws std::bad_alloc.
    Found look();

    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

    [[nodiscard]] std::uint64_t first() const override { return first_; }
    [[nodiscard]] std::uint64_t end() const override { return first_ + files_.size(); }
    Entry entry(std::uint64_t number) override;
    void free(std::uint64_t end) override;

  private:
    static constexpr std::size_t kMostFiles = 64;  // that one worker sends at a time
    static constexpr std::size_t kMostFileBytes = std::size_t{1} << 20;

    struct File {
        std::string path;
        int descriptor = -1;  // holds the lock
        std::string bytes;
        usage::SpooledBatch batch;  // views into `bytes`
    };
    [[nodiscard]] bool has(const std::string& path) const;
    // Empty: it is ours now, or somebody else's; else what is wrong with it.
    std::string take(const std::string& path);
    std::string set_aside(const std::string& path);

    const std::string folder_;
    std::deque<File> files_;
    std::uint64_t first_ = 0;
    std::vector<std::string> done_with_;  // sent, and cannot be removed
    std::string removal_problem_;         // not reported yet
    std::string id_text_;                 // of the entry
    std::string sealed_text_;
};

}  // namespace apikey::ngx
