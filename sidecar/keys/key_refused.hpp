// Why a change of a key is not made. Nothing was changed.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace apikey {

class KeyRefused : public std::runtime_error {
  public:
    enum class Why : std::uint8_t {
        no_such_key,     // nor one of somebody else's: that is the same
        not_active,      // revoked, expired, or replaced already
        exceeds_rights,  // of the key that asks for it
        key_reused,      // the Idempotency-Key came with another request before
    };

    // `message` names no key of others.
    KeyRefused(Why why, const std::string& message) : std::runtime_error(message), why_(why) {}
    [[nodiscard]] Why why() const noexcept { return why_; }

  private:
    Why why_;
};

inline KeyRefused no_such_key(const std::string& id) {
    return {KeyRefused::Why::no_such_key, "there is no key with the id \"" + id + "\""};
}

}  // namespace apikey
