// What has become of an import, as an answer.
#pragma once

#include "sidecar/http/answer.hpp"
#include "sidecar/imports/import_outcome.hpp"

namespace apikey {

// 200, 422 with the rows that are wrong, or 400 where it is no such file at all.
http::Answer answer_of(const ImportOutcome& outcome);

}  // namespace apikey
