// Gathers an export's text and hands it to the sink in pieces of about 48 KiB, each of whole rows.
#pragma once

#include <string>

#include "sidecar/byte_stream.hpp"

namespace apikey {

class PieceWriter {
  public:
    explicit PieceWriter(ByteSink& sink) : sink_(sink) { text_.reserve(kRoom); }

    // What was written and is not with the sink yet: rows are appended to it.
    [[nodiscard]] std::string& text() noexcept { return text_; }
    // After each row. True: a piece was handed over.
    bool row_ends() {
        if (text_.size() < kPiece) return false;
        flush();
        return true;
    }
    void flush() {
        if (text_.empty()) return;
        sink_.write(text_);
        written_ += text_.size();
        text_.clear();
        if (text_.capacity() > kMostKept) std::string().swap(text_);  // one row was huge
    }
    // All bytes so far, with those that the sink has not got.
    [[nodiscard]] std::uint64_t size() const noexcept { return written_ + text_.size(); }

  private:
    static constexpr std::size_t kPiece = std::size_t{48} * 1024;
    static constexpr std::size_t kRoom = std::size_t{64} * 1024;
    static constexpr std::size_t kMostKept = std::size_t{1024} * 1024;

    ByteSink& sink_;
    std::string text_;
    std::uint64_t written_ = 0;
};

}  // namespace apikey
