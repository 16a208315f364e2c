// What a client is told of its import (DESIGN §3.3), as JSON.
#pragma once

#include <string>

#include "sidecar/imports/import_outcome.hpp"

namespace apikey {

// Of one that succeeded: {"success":true,"imported":3,"skipped":0,"errors":[]}
std::string import_answer(const ImportOutcome& outcome);

// Of one with bad rows, as members of an object that the caller writes:
//   "success":false,"imported":0,"skipped":0,"errors":[{"row":3,"line":4,"field":"cost","message":"…"}]
// Without "line" where there is none; followed by "moreErrors" where some are only counted.
std::string import_error_members(const ImportOutcome& outcome);

}  // namespace apikey
