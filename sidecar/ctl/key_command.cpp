#include "sidecar/ctl/key_command.hpp"

#include "sidecar/schema.hpp"

namespace apikey {
namespace {

using Clock = std::chrono::steady_clock;

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

Confirmation KeyCommand::wait(std::chrono::milliseconds most) {
    const auto committed = Clock::now();
    Confirmation confirmation;
    confirmation.done = listener.wait(receipt, most);
    confirmation.milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - committed).count();
    return confirmation;
}

}  // namespace apikey
