// Lines of Postgres' COPY text format (as core/usage/batch_text.hpp describes them) in a temporary file that no folder names: it is
// gone when this is, or the process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace apikey {

class CopyFile {
  public:
    // In $TMPDIR, or /tmp. Throws std::system_error.
    CopyFile();
    ~CopyFile();
    CopyFile(const CopyFile&) = delete;
    CopyFile& operator=(const CopyFile&) = delete;

    // The next field of the line. Throw std::system_error when there is no room.
    CopyFile& text(std::string_view value);  // any bytes: they are escaped
    CopyFile& word(std::string_view value);  // as it is: a number, a time
    CopyFile& number(std::uint64_t value) { return word(std::to_string(value)); }
    CopyFile& null() { return word("\\N"); }
    void end_line();

    // From the beginning, in pieces that are valid until the next call; empty: that was all. Nothing is written after the first.
    std::string_view read();

  private:
    void begin_field();
    void flush();

    int fd_ = -1;
    std::string buffer_;         // what is not in the file yet, and later a piece of it
    std::uint64_t written_ = 0;  // bytes in the file
    std::uint64_t read_ = 0;     // of them
    bool is_in_line_ = false;
    bool is_reading_ = false;
};

}  // namespace apikey
