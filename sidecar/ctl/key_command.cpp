#include "sidecar/ctl/key_command.hpp"

#include "sidecar/schema.hpp"

namespace apikey {
namespace {

Postgres::Options connection_options() {
    Postgres::Options options;
    options.application = "apikeyctl";
    return options;
}

}  // namespace

KeyCommand::KeyCommand(const Arguments& arguments)
    : settings(settings_of(arguments)),
      postgres(settings.postgres, connection_options()),
      listener((require_schema(postgres), postgres)),
      store(postgres, settings.key_prefix) {}

}  // namespace apikey
