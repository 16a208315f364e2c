#include "sidecar/imports/copy_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "core/copy_escapes.hpp"

namespace apikey {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{128} * 1024;
constexpr std::string_view kToEscape = "\\\t\n\r\b\f\v";

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

std::string folder() {
    const char* const named = std::getenv("TMPDIR");
    return named == nullptr || *named == '\0' ? "/tmp" : named;
}

// Not every file system has files without a name: there it loses it at once.
int open_unnamed() {
    const std::string place = folder();
    const int fd = open(place.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd >= 0) return fd;
    std::string name = place + "/apikey-import-XXXXXX";
    const int named = mkostemp(name.data(), O_CLOEXEC);
    if (named < 0) fail(("a temporary file in " + place).c_str());
    unlink(name.c_str());
    return named;
}

}  // namespace

CopyFile::CopyFile() : fd_(open_unnamed()) {}

CopyFile::~CopyFile() {
    close(fd_);
}

CopyFile& CopyFile::text(std::string_view value) {
    begin_field();
    while (!value.empty()) {
        if (buffer_.size() >= kPieceBytes) flush();  // the value may be large
        const std::size_t plain = value.substr(0, kPieceBytes).find_first_of(kToEscape);
        if (plain == std::string_view::npos) {
            buffer_ += value.substr(0, kPieceBytes);
            value.remove_prefix(std::min(kPieceBytes, value.size()));
            continue;
        }
        buffer_ += value.substr(0, plain);
        value.remove_prefix(plain);
        buffer_ += '\\';
        buffer_ += copy_escape_of(value.front());
        value.remove_prefix(1);
    }
    return *this;
}

CopyFile& CopyFile::word(std::string_view value) {
    begin_field();
    buffer_ += value;
    return *this;
}

void CopyFile::begin_field() {
    if (buffer_.size() >= kPieceBytes) flush();
    if (is_in_line_) buffer_ += '\t';
    is_in_line_ = true;
}

void CopyFile::end_line() {
    buffer_ += '\n';
    is_in_line_ = false;
}

void CopyFile::flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
        const ssize_t done = pwrite(fd_, rest.data(), rest.size(), static_cast<off_t>(written_));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) fail("the temporary file of an import");
        written_ += static_cast<std::uint64_t>(done);
        rest.remove_prefix(static_cast<std::size_t>(done));
    }
    buffer_.clear();
}

std::string_view CopyFile::read() {
    if (!is_reading_) {
        flush();
        is_reading_ = true;
        buffer_.resize(kPieceBytes);
        buffer_.shrink_to_fit();
    }
    for (;;) {
        const ssize_t got = pread(fd_, buffer_.data(), buffer_.size(), static_cast<off_t>(read_));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail("the temporary file of an import");
        read_ += static_cast<std::uint64_t>(got);
        return std::string_view(buffer_).substr(0, static_cast<std::size_t>(got));
    }
}

}  // namespace apikey
