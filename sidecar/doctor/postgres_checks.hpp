// Asks Postgres how it is and whether our schema is whole, over one connection, with SELECTs only.
#pragma once

#include <string>

#include "sidecar/doctor/findings.hpp"
#include "sidecar/settings.hpp"

namespace apikey::doctor {

// Everything about Postgres: postgres.*, clock.postgres. `place` is where the file names Postgres, FILE:LINE. Never throws
// because of Postgres; connecting and each question have a few seconds.
void check_postgres(const Settings& settings, const std::string& place, Findings& findings);

}  // namespace apikey::doctor
