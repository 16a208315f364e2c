#include "sidecar/doctor/socket_checks.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "sidecar/http/socket_file.hpp"

namespace apikey::doctor {
namespace {

std::string reason(int error) {
    return std::generic_category().message(error);
}

// "www-data:www-data"; numbers where there is no name.
std::string owner_of(const struct stat& about) {
    std::array<char, 4096> buffer{};
    struct passwd user{};
    struct passwd* found_user = nullptr;
    getpwuid_r(about.st_uid, &user, buffer.data(), buffer.size(), &found_user);
    std::string text = found_user != nullptr ? user.pw_name : std::to_string(about.st_uid);
    struct group group{};
    struct group* found_group = nullptr;
    getgrgid_r(about.st_gid, &group, buffer.data(), buffer.size(), &found_group);
    return text + ":" + (found_group != nullptr ? group.gr_name : std::to_string(about.st_gid));
}

// A folder on the way to `path` in which anybody may put something else in its place.
void check_folders(const std::string& path, Findings& findings) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    const std::string open = http::open_folder_on(path);
    if (!open.empty()) {
        struct stat about{};
        stat(open.c_str(), &about);
        return findings.error("socket.directory",
                              "everybody may write into " + open + " (" + http::octal(about.st_mode & 07777U) +
                                  "): anybody can put another socket in the place of ours",
                              "chmod o-w " + open);
    }
    struct stat about{};
    if (stat(folder.c_str(), &about) != 0) {
        return findings.note(
            "socket.directory", folder.string() + ": " + reason(errno),
            "apikeyd's systemd unit makes it (RuntimeDirectory); elsewhere make it for apikeyd's user");
    }
    findings.ok("socket.directory",
                folder.string() + ", " + owner_of(about) + " " + http::octal(about.st_mode & 07777U));
}

void check_answer(const std::string& path, Findings& findings) {
    const int error = http::connect_error(path);
    if (error == 0) return findings.ok("socket.path", path + ": somebody listens");
    if (error == EACCES || error == EPERM) {
        return findings.warning("socket.path", path + ": this user may not connect to it",
                                "run doctor as root or as nginx' user to know whether it answers");
    }
    if (error == ECONNREFUSED) {
        return findings.error("socket.path", path + ": nobody listens; it is left over from an apikeyd that is gone",
                              "start apikeyd (systemctl start apikeyd): it replaces it");
    }
    findings.error("socket.path", path + ": " + reason(error),
                   "does apikeyd hang? See its log (journalctl -u apikeyd)");
}

}  // namespace

void check_socket(const std::string& path, unsigned mode, const std::string& place, Findings& findings) {
    check_folders(path, findings);
    struct stat about{};
    if (lstat(path.c_str(), &about) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return findings.note("socket.path",
                                 path + " is not there: exports and imports need it and answer 503, keys do not");
        }
        return findings.warning("socket.path", path + ": " + reason(errno), "run doctor as root or as apikeyd's user");
    }
    if (!S_ISSOCK(about.st_mode)) {
        return findings.error("socket.path", path + " is there and is no socket",
                              "remove it, or write another path: " + place + ": listen");
    }
    check_answer(path, findings);
    findings.ok("socket.owner", owner_of(about));
    const unsigned is = about.st_mode & 0777U;
    if (is == mode) return findings.ok("socket.mode", http::octal(is));
    findings.error("socket.mode", "its mode is " + http::octal(is) + ", listen_mode says " + http::octal(mode),
                   "chmod " + http::octal(mode) + " " + path + "; or restart apikeyd, which sets it");
}

void check_secret_file(const std::string& check, const std::string& path, Findings& findings) {
    struct stat about{};
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int error = fd < 0 || fstat(fd, &about) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    if (error != 0) {
        return findings.error(check, path + " cannot be read: " + reason(error),
                              "chown it to apikeyd's user and chmod 0640 " + path);
    }
    const unsigned mode = about.st_mode & 0777U;
    const std::string message = path + ", " + owner_of(about) + " " + http::octal(mode);
    if ((mode & (S_IRWXO | S_IWGRP)) == 0) return findings.ok(check, message);
    findings.warning(check,
                     message + (((mode & S_IRWXO) != 0) ? ": everybody gets at it" : ": its group may change it"),
                     "chmod 0640 " + path);
}

}  // namespace apikey::doctor
