// apikeyctl's commands. Each prints its result on stdout and throws Refusal, or any std::exception, when it fails.
#pragma once

#include "sidecar/ctl/arguments.hpp"

namespace apikey {

// audit.cpp
void run_audit(const Arguments& arguments);

// database.cpp
void run_migrate(const Arguments& arguments);
void run_sync(const Arguments& arguments);

// doctor.cpp
void run_doctor(const Arguments& arguments);

// export.cpp
void run_export_usage(const Arguments& arguments);
void run_export_conversations(const Arguments& arguments);

// import.cpp
void run_import_usage(const Arguments& arguments);
void run_import_conversations(const Arguments& arguments);

// keys.cpp
void run_create(const Arguments& arguments);
void run_list(const Arguments& arguments);
void run_revoke(const Arguments& arguments);
void run_rotate(const Arguments& arguments);

// usage_totals.cpp
void run_usage_totals(const Arguments& arguments);

// usage_pipeline.cpp
void run_usage_pipeline(const Arguments& arguments);

}  // namespace apikey
