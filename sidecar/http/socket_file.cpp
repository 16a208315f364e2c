#include "sidecar/http/socket_file.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace apikey::http {

int connect_error(const std::string& path) {
    struct sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const int result = connect(fd, reinterpret_cast<const struct sockaddr*>(&address), sizeof(address));
    const int error = result == 0 ? 0 : errno;
    close(fd);
    return error;
}

std::string open_folder_on(const std::string& path) {
    for (auto at = std::filesystem::path(path).parent_path();; at = at.parent_path()) {
        struct stat about{};
        if (stat(at.c_str(), &about) == 0 && (about.st_mode & S_IWOTH) != 0 && (about.st_mode & S_ISVTX) == 0)
            return at.string();
        if (at == at.parent_path()) return {};
    }
}

std::string octal(unsigned mode) {
    std::array<char, 8> text{};
    const int length = std::snprintf(text.data(), text.size(), "%04o", mode);
    return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace apikey::http
