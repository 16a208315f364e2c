#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/usage_spool.hpp"

#include "core/decimal.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace apikey::ngx {

namespace {

constexpr mode_t kMode = 0640;
constexpr std::string_view kBadSuffix = ".bad";

class Descriptor {
  public:
    explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
    ~Descriptor() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    explicit operator bool() const noexcept { return descriptor_ >= 0; }
    int release() noexcept { return std::exchange(descriptor_, -1); }

  private:
    int descriptor_;
};

std::string system_error(const std::string& what, const std::string& path) {
    return what + " \"" + path + "\": " + std::strerror(errno);
}

bool write_all(int file, std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t count = ::write(file, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

bool read_all(int file, std::string& bytes) {
    std::size_t size = 0;
    while (size < bytes.size()) {
        const ssize_t count = ::read(file, bytes.data() + size, bytes.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        size += static_cast<std::size_t>(count);
    }
    return true;
}

// A name is on disk when its folder is.
bool sync_folder(const std::string& folder) noexcept {
    const Descriptor opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return opened && fsync(opened.get()) == 0;
}

}  // namespace

UsageSpool::UsageSpool(std::string folder) : UsageSource(0), folder_(std::move(folder)) {}

UsageSpool::~UsageSpool() {
    for (const File& file : files_)
        close(file.descriptor);
}

std::optional<std::string> UsageSpool::write(const Entry& entry) {
    const auto id = usage::parse_batch_id(entry.batch);
    const auto sealed = parse_decimal(entry.sealed);
    if (!id || !sealed) return "a batch without an id";
    const usage::SpooledBatch batch{*id, static_cast<std::int64_t>(*sealed), entry.keys, entry.rows};
    const std::string path = folder_ + "/" + usage::spool_name(batch.id);
    const std::string draft = path + "." + std::to_string(ngx_pid) + ".tmp";
    {
        const Descriptor file(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode));
        if (!file) return system_error("cannot create", draft);
        if (!write_all(file.get(), usage::spool_file(batch)) || fsync(file.get()) != 0) {
            std::string failed = system_error("cannot write", draft);
            unlink(draft.c_str());
            return failed;
        }
    }
    if (rename(draft.c_str(), path.c_str()) != 0) {
        std::string failed = system_error("cannot rename", draft);
        unlink(draft.c_str());
        return failed;
    }
    return std::nullopt;
}

std::optional<std::string> UsageSpool::sync() {
    if (!sync_folder(folder_)) return system_error("cannot write", folder_);
    return std::nullopt;
}

bool UsageSpool::has(const std::string& path) const {
    if (std::find(done_with_.begin(), done_with_.end(), path) != done_with_.end()) return true;
    return std::any_of(files_.begin(), files_.end(), [&](const File& file) { return file.path == path; });
}

UsageSpool::Found UsageSpool::look() {
    Found found;
    found.problem = std::exchange(removal_problem_, {});
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(folder_.c_str()), closedir);
    if (folder == nullptr) {
        found.problem = system_error("cannot read", folder_);
        return found;
    }
    while (const dirent* each = readdir(folder.get())) {
        found.more = files_.size() >= kMostFiles;
        if (found.more) break;
        if (!usage::parse_spool_name(each->d_name)) continue;
        const std::string path = folder_ + "/" + each->d_name;
        if (has(path)) continue;
        std::string problem = take(path);
        if (!problem.empty()) found.problem = std::move(problem);
    }
    return found;
}

std::string UsageSpool::take(const std::string& path) {
    Descriptor opened(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!opened) return errno == ENOENT ? std::string() : system_error("cannot open", path);
    if (flock(opened.get(), LOCK_EX | LOCK_NB) != 0) return {};
    struct stat info{};
    if (fstat(opened.get(), &info) != 0 || info.st_nlink == 0) return {};  // sent meanwhile
    if (!S_ISREG(info.st_mode) || info.st_size < 0 || static_cast<std::size_t>(info.st_size) > kMostFileBytes)
        return set_aside(path);
    File file{path, -1, std::string(static_cast<std::size_t>(info.st_size), '\0'), {}};
    if (!read_all(opened.get(), file.bytes)) return system_error("cannot read", path);
    if (!usage::parse_spool_file(file.bytes)) return set_aside(path);
    files_.push_back(std::move(file));
    File& kept = files_.back();
    kept.descriptor = opened.release();
    if (const auto batch = usage::parse_spool_file(kept.bytes)) kept.batch = *batch;  // where the bytes lie now
    return {};
}

// Whatever it is, it is kept for whoever can tell.
std::string UsageSpool::set_aside(const std::string& path) {
    const std::string aside = path + std::string(kBadSuffix);
    if (rename(path.c_str(), aside.c_str()) != 0) return system_error("no batch of usage, and cannot rename", path);
    return "\"" + path + "\" is no whole batch of usage; renamed to \"" + aside + "\"";
}

UsageSource::Entry UsageSpool::entry(std::uint64_t number) {
    const usage::SpooledBatch& batch = files_[number - first_].batch;
    id_text_ = usage::batch_text(batch.id);
    sealed_text_ = std::to_string(batch.sealed);
    return {id_text_, sealed_text_, batch.keys, batch.rows};
}

void UsageSpool::free(std::uint64_t end) {
    for (; first_ < end; ++first_) {
        File& file = files_.front();
        if (unlink(file.path.c_str()) != 0 && errno != ENOENT) {
            removal_problem_ = system_error("cannot remove", file.path);
            done_with_.push_back(std::move(file.path));  // its lock is kept: nobody sends it again meanwhile
        } else {
            close(file.descriptor);
        }
        files_.pop_front();
    }
    shipment().freed(end);
}

}  // namespace apikey::ngx
