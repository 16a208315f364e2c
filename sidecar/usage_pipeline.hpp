// Where usage is on its way from nginx to Postgres, and whether any of it is stuck: stream, dead letters, what is applied of
// each worker's slot, spool. Changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/doctor/findings.hpp"
#include "sidecar/doctor/usage_checks.hpp"
#include "sidecar/settings.hpp"
#include "sidecar/usage_spool.hpp"

namespace apikey {

// A slot of a zone of nginx, as usage_sources has it. Its batches are numbered from 0.
struct UsageSource {
    std::string zone;  // 32 hex digits
    std::int64_t slot = 0;
    std::int64_t highest = -1;  // sequence number applied; -1: none
    std::int64_t missing = 0;   // numbers below it that are not applied
};

struct UsagePipeline {
    std::int64_t now = 0;  // Redis' unix ms; this machine's where Redis does not say
    doctor::UsageInRedis redis;
    std::vector<UsageSource> sources;  // those that miss some first, at most kMostSources
    std::int64_t source_count = 0;
    std::optional<UsageSpool> spool;
    doctor::Findings findings;  // usage.*; errors say what is stuck

    static constexpr int kMostSources = 100;
};

// `spool` empty: none is looked into. Never throws because of Redis, Postgres or the spool: that is a finding then.
UsagePipeline look_at_usage_pipeline(const Settings& settings, const std::string& spool);

// usage.slots, when `waiting` entries are in the stream.
void judge_sources(const std::vector<UsageSource>& sources, std::int64_t source_count, std::int64_t waiting,
                   doctor::Findings& findings);
// usage.spool; `now` in unix s.
void judge_spool(const UsageSpool& spool, const std::string& directory, std::int64_t now, doctor::Findings& findings);

// One line: "nothing is stuck", or how much is.
std::string verdict_of(const doctor::Findings& findings);

}  // namespace apikey
