// Passwords and secrets live in files, so that neither nginx.conf nor `nginx -T` shows them.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

namespace apikey {

inline constexpr std::size_t kMaxSecretBytes = 512;

// The first line of the file, without its line end. Nothing when it cannot be read, is empty or has a longer first
// line than kMaxSecretBytes; errno then says why, 0 for the last two.
inline std::optional<std::string> read_secret_file(const char* path) {
    errno = 0;
    using File = std::unique_ptr<std::FILE, decltype([](std::FILE* f) { std::fclose(f); })>;
    const File file(std::fopen(path, "re"));
    if (!file) return std::nullopt;
    char line[kMaxSecretBytes + 3];
    if (std::fgets(line, sizeof(line), file.get()) == nullptr) return std::nullopt;
    const std::size_t length = std::strcspn(line, "\r\n");
    if (length == 0 || length > kMaxSecretBytes) return std::nullopt;
    return std::string(line, length);
}

}  // namespace apikey
