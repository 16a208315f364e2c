// Reads one kind of import from bytes that come in any pieces: checks its rows, and writes the good ones as lines for COPY.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace apikey {

class RowReader {
  public:
    RowReader() = default;
    virtual ~RowReader() = default;
    RowReader(const RowReader&) = delete;
    RowReader& operator=(const RowReader&) = delete;

    // The next bytes, and that there are no more. False: it is malformed, nothing more is taken.
    virtual bool feed(std::string_view bytes) = 0;
    virtual bool finish() = 0;
    // Why it is malformed, with its place.
    [[nodiscard]] virtual std::string malformed() const = 0;
    // How many rows there were so far, good or bad.
    [[nodiscard]] virtual std::uint64_t rows() const = 0;
};

}  // namespace apikey
