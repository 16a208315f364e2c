// The keys that are used, and what is to be answered to each.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace apikey::bulk {

enum class Kind : std::uint8_t { steady, changing, bogus };

struct Key {
    Kind kind = Kind::steady;
    std::string secret;
    std::string id;
    std::string text;  // what the upstream answers: of a steady key now and for ever, of a changing one at the start
};

class KeyList {
  public:
    // A file of lines `kind TAB secret TAB id TAB text`; there must be steady keys. Throws std::runtime_error.
    explicit KeyList(const std::string& path);

    // One at random: 5 % are bogus, 15 % of a kind that changes. Valid as long as the list.
    const Key& pick(std::mt19937_64& chance) const;
    const Key& pick_steady(std::mt19937_64& chance) const;

  private:
    std::vector<Key> steady_, changing_, bogus_;
};

}  // namespace apikey::bulk
