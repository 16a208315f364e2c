#include "sidecar/http/listen_socket.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>

#include "sidecar/http/socket_file.hpp"

namespace apikey::http {
namespace {

std::string reason(int error) {
    return std::generic_category().message(error);
}

// Held while one apikeyd looks at what is there and puts its own in the place, so that two that start at once do not both see a
// dead one. Of the folder, so that nothing is left behind.
class FolderLock {
  public:
    explicit FolderLock(const std::string& path)
        : folder_(std::filesystem::path(path).parent_path().string()),
          fd_(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        constexpr int kTries = 40;
        constexpr std::chrono::milliseconds kPause{50};
        if (fd_ < 0) fail(path, errno);
        for (int tries = 0; flock(fd_, LOCK_EX | LOCK_NB) != 0; ++tries) {
            if (errno != EWOULDBLOCK) break;  // a file system without locks
            if (tries == kTries) {
                ::close(fd_);
                throw CannotListen(path + ": another process has locked " + folder_ + "; is an apikeyd just starting?");
            }
            std::this_thread::sleep_for(kPause);
        }
    }
    ~FolderLock() { ::close(fd_); }
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

  private:
    [[noreturn]] void fail(const std::string& path, int error) const {
        throw CannotListen(path + ": its folder " + folder_ + ": " + reason(error) +
                           "; make it for apikeyd's user (under systemd: RuntimeDirectory=)");
    }

    std::string folder_;
    int fd_;
};

// Leaves nothing at `path`, or throws.
void make_room(const std::string& path) {
    struct stat about{};
    if (lstat(path.c_str(), &about) != 0) {
        if (errno == ENOENT) return;
        throw CannotListen(path + ": " + reason(errno));
    }
    if (!S_ISSOCK(about.st_mode))
        throw CannotListen(path + " is there and is no socket; remove it, or write another path");
    const int error = connect_error(path);
    if (error == 0 || error == EAGAIN)
        throw CannotListen(path + ": somebody listens there already; is another apikeyd running?");
    if (error != ECONNREFUSED && error != ENOENT)
        throw CannotListen(path + " is there, and whether somebody listens cannot be told: " + reason(error));
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
        throw CannotListen(path + " is left over from a process that is gone, and cannot be removed: " + reason(errno) +
                           "; its folder must belong to apikeyd's user");
}

}  // namespace

ListenSocket::ListenSocket(const std::string& path, unsigned mode) : path_(path) {
    const std::string open = open_folder_on(path);
    if (!open.empty()) {
        throw CannotListen(path + ": everybody may write into " + open +
                           ", and put another socket in the place of ours; chmod o-w " + open);
    }
    const FolderLock lock(path);
    make_room(path);
    try {
        make(mode);
    } catch (...) {
        close();
        throw;
    }
}

void ListenSocket::make(unsigned mode) {
    struct sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof(address.sun_path))
        throw CannotListen(path_ + " is too long; a path has at most 107 bytes");
    std::memcpy(address.sun_path, path_.data(), path_.size());
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) throw CannotListen(path_ + ": " + reason(errno));
    // By the umask rather than afterwards: at no moment may it be open to more than it should.
    const mode_t before = umask(~mode & 0777U);
    const int error = bind(fd_, reinterpret_cast<const struct sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
    umask(before);
    if (error != 0) {
        throw CannotListen(path_ + " cannot be made: " + reason(error) +
                           (error == EACCES ? "; its folder must belong to apikeyd's user" : ""));
    }
    struct stat about{};
    if (lstat(path_.c_str(), &about) != 0) throw CannotListen(path_ + ": " + reason(errno));
    device_ = about.st_dev;
    inode_ = about.st_ino;
    // Where a folder has default access lists, the umask says nothing.
    if ((about.st_mode & 0777U) != mode && chmod(path_.c_str(), mode) != 0)
        throw CannotListen(path_ + " cannot be given the mode " + octal(mode) + ": " + reason(errno));
    if (listen(fd_, SOMAXCONN) != 0) throw CannotListen(path_ + ": " + reason(errno));
}

void ListenSocket::close() noexcept {
    if (fd_ < 0) return;
    struct stat about{};
    const bool ours =
        inode_ != 0 && lstat(path_.c_str(), &about) == 0 && about.st_dev == device_ && about.st_ino == inode_;
    if (ours) unlink(path_.c_str());
    ::close(fd_);
    fd_ = -1;
}

}  // namespace apikey::http
