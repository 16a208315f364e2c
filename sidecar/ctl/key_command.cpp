#include "sidecar/ctl/key_command.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <string>

#include "sidecar/keys/audit_log.hpp"
#include "sidecar/schema.hpp"

namespace apikey {
namespace {

Postgres::Options connection_options() {
    Postgres::Options options;
    options.application = "apikeyctl";
    return options;
}

// The user of this machine, and the machine.
Actor operator_here() {
    const struct passwd* user = getpwuid(geteuid());
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
    return {user != nullptr ? user->pw_name : std::to_string(geteuid()), kSourceApikeyctl, host.data()};
}

}  // namespace

KeyCommand::KeyCommand(const Arguments& arguments)
    : settings(settings_of(arguments)),
      postgres(settings.postgres, connection_options()),
      listener((require_schema(postgres), postgres)),
      store(postgres, settings.key_prefix, operator_here()) {}

}  // namespace apikey
