#include "tests/bulk_client/key_list.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace apikey::bulk {

namespace {

constexpr double kBogusShare = 0.05;
constexpr double kChangingShare = 0.15;

const Key& one_of(const std::vector<Key>& keys, std::mt19937_64& chance) {
    return keys[std::uniform_int_distribution<std::size_t>(0, keys.size() - 1)(chance)];
}

}  // namespace

KeyList::KeyList(const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string kind;
        Key key;
        std::getline(fields, kind, '\t');
        std::getline(fields, key.secret, '\t');
        std::getline(fields, key.id, '\t');
        std::getline(fields, key.text);
        key.kind = kind == "bogus" ? Kind::bogus : kind == "changing" ? Kind::changing : Kind::steady;
        (key.kind == Kind::bogus ? bogus_ : key.kind == Kind::changing ? changing_ : steady_).push_back(key);
    }
    if (steady_.empty()) throw std::runtime_error("no steady keys in " + path);
}

const Key& KeyList::pick(std::mt19937_64& chance) const {
    const double draw = std::uniform_real_distribution<>()(chance);
    if (draw < kBogusShare && !bogus_.empty()) return one_of(bogus_, chance);
    if (draw < kBogusShare + kChangingShare && !changing_.empty()) return one_of(changing_, chance);
    return one_of(steady_, chance);
}

const Key& KeyList::pick_steady(std::mt19937_64& chance) const {
    return one_of(steady_, chance);
}

}  // namespace apikey::bulk
