// The socket of `listen` and the files that hold secrets: who owns them, and who gets at them.
#pragma once

#include <string>

#include "sidecar/doctor/findings.hpp"

namespace apikey::doctor {

// socket.path, socket.owner, socket.mode, socket.directory. `place` is where the file gives `listen`, FILE:LINE. A socket is
// connected to, and nothing is sent.
void check_socket(const std::string& path, unsigned mode, const std::string& place, Findings& findings);

// A file with a secret, as `check`: readable for us, and for nobody whom it does not concern.
void check_secret_file(const std::string& check, const std::string& path, Findings& findings);

}  // namespace apikey::doctor
