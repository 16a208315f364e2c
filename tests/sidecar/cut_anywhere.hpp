// A text in pieces, cut at every place or by chance.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/byte_stream.hpp"

namespace apikey::test {

using Pieces = std::vector<std::string_view>;

// In two pieces, cut at every place; byte by byte; and whole.
inline void for_every_cut(std::string_view text, const std::function<void(const Pieces&)>& check) {
    check({text});
    for (std::size_t cut = 1; cut < text.size(); ++cut)
        check({text.substr(0, cut), text.substr(cut)});
    Pieces bytes;
    for (std::size_t at = 0; at < text.size(); ++at)
        bytes.push_back(text.substr(at, 1));
    check(bytes);
}

inline Pieces cut_by_chance(std::string_view text, std::mt19937& random) {
    Pieces pieces;
    while (!text.empty()) {
        const std::size_t length = std::min<std::size_t>(1 + random() % 40, text.size());
        pieces.push_back(text.substr(0, length));
        text.remove_prefix(length);
    }
    return pieces;
}

class PiecesSource : public ByteSource {
  public:
    explicit PiecesSource(Pieces pieces) : pieces_(std::move(pieces)) {}
    std::string_view read() override { return next_ < pieces_.size() ? pieces_[next_++] : std::string_view(); }

  private:
    Pieces pieces_;
    std::size_t next_ = 0;
};

}  // namespace apikey::test
