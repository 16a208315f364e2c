#include "sidecar/user_transaction.hpp"

#include "core/json_string.hpp"

namespace apikey {

void become_user(Postgres& postgres, const std::string& user) {
    std::string claims = "{\"sub\": ";
    append_json_string(claims, user);
    postgres.query("SELECT set_config('request.jwt.claims', $1, true)", {claims + "}"});
    postgres.execute("SET LOCAL ROLE apikey_user");
}

}  // namespace apikey
