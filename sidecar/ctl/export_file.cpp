#include "sidecar/ctl/export_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "sidecar/ctl/arguments.hpp"

namespace apikey {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

int open_part(const std::string& part) {
    const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        throw Refusal{part +
                      " is there already: what an export that was not completed has left, or one that still runs. "
                      "Move it away or remove it."};
    }
    if (fd < 0) fail(part);
    return fd;
}

// A device or a pipe is written to as it is: a file that took its place would be the end of it (/dev/null, and its owner root).
bool is_in_place(const std::string& path) {
    struct stat found{};
    return path.empty() || (stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode));
}

int open_in_place(const std::string& path) {
    if (path.empty()) return STDOUT_FILENO;
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) fail(path);
    return fd;
}

// The name of a file is on the disk when its folder is.
void sync_folder(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) fail(path);
    fsync(fd);  // not every file system can
    close(fd);
}

}  // namespace

ExportFile::ExportFile(const std::string& path)
    : path_(path),
      part_(is_in_place(path) ? "" : path + ".part"),
      fd_(part_.empty() ? open_in_place(path) : open_part(part_)) {}

ExportFile::~ExportFile() {
    if (fd_ >= 0 && fd_ != STDOUT_FILENO) close(fd_);
}

void ExportFile::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail(!is_direct() ? part_ : path_.empty() ? "stdout" : path_);
        size_ += static_cast<std::uint64_t>(written);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    forget_earlier_dates();
}

void ExportFile::note_date(const std::string& date, std::uint64_t bytes) {
    dates_.push_back({date, bytes, !any_date_});
    any_date_ = true;
}

void ExportFile::forget_earlier_dates() {
    std::size_t here = 0;
    while (here < dates_.size() && dates_[here].begins <= size_)
        ++here;
    if (here > 1) dates_.erase(dates_.begin(), dates_.begin() + static_cast<std::ptrdiff_t>(here) - 1);
}

void ExportFile::complete() {
    if (is_direct()) return;
    if (fsync(fd_) != 0) fail(part_);
    const int closed = close(fd_);
    fd_ = -1;
    if (closed != 0) fail(part_);
    if (std::rename(part_.c_str(), path_.c_str()) != 0) fail(path_);
    sync_folder(folder_of(path_));
}

std::optional<std::string> ExportFile::cut_back() {
    const bool has_some = !dates_.empty() && !dates_.front().is_first && dates_.front().begins <= size_;
    if (!has_some) {
        remove();
        return std::nullopt;
    }
    const Date& last = dates_.front();
    if (!is_direct() && (ftruncate(fd_, static_cast<off_t>(last.begins)) != 0 || fsync(fd_) != 0)) fail(part_);
    return last.date;
}

void ExportFile::remove() {
    if (!is_direct()) unlink(part_.c_str());
}

}  // namespace apikey
