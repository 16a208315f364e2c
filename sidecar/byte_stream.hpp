// Where the bytes of an export go, and where those of an import come from: a client behind nginx, or a file of apikeyctl's.
#pragma once

#include <string_view>

namespace apikey {

class ByteSink {
  public:
    ByteSink() = default;
    virtual ~ByteSink() = default;
    ByteSink(const ByteSink&) = delete;
    ByteSink& operator=(const ByteSink&) = delete;

    // Takes all of `bytes` before it returns, and may wait for that. Throws when they cannot go there any more.
    virtual void write(std::string_view bytes) = 0;
};

class ByteSource {
  public:
    ByteSource() = default;
    virtual ~ByteSource() = default;
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    // The next bytes, however many; may wait for them. Valid until the next call. Empty: that was all. Throws when no more will
    // come though it was not all, or more than is allowed.
    virtual std::string_view read() = 0;
};

}  // namespace apikey
