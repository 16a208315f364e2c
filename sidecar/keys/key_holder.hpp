// Who does something to a key, for audit_log and for what it may do.
#pragma once

#include <optional>
#include <string>

namespace apikey {

// What audit_log says of a change.
struct Actor {
    std::string name;     // a user of the API; of apikeyctl: of the machine
    std::string source;   // api, apikeyctl
    std::string address;  // of the client; empty: none is known
};

// A key holder who changes its own keys, and none of anybody else's.
struct KeyHolder {
    std::string user;
    std::string key_id;           // the key that asks, a uuid: what that may not do, it may not; empty: none does
    std::string key_user;         // whose that key was when it was verified
    std::string idempotency_key;  // of this request; empty: none
};

}  // namespace apikey
