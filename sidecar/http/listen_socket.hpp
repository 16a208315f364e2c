// The Unix socket that apikeyd listens on (settings.listen; hazard S11): made with its mode, the place of a dead process' taken, a
// living one's refused; its file goes with it.
#pragma once

#include <sys/types.h>

#include <stdexcept>
#include <string>

namespace apikey::http {

// What is wrong, beginning with the path, and what to do.
class CannotListen : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

class ListenSocket {
  public:
    // `path` is absolute, of at most 107 bytes. Sets the process' umask for a moment: to be called before there are threads.
    // Throws CannotListen.
    ListenSocket(const std::string& path, unsigned mode);
    ~ListenSocket() { close(); }
    ListenSocket(const ListenSocket&) = delete;
    ListenSocket& operator=(const ListenSocket&) = delete;

    // Non-blocking.
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

    // Ends it. Its file is removed, unless that is another's by now.
    void close() noexcept;

  private:
    void make(unsigned mode);

    std::string path_;
    int fd_ = -1;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace apikey::http
