#include "sidecar/routes/transfer_log.hpp"

#include <spdlog/spdlog.h>

#include <random>

#include "core/transfer/query_string.hpp"

namespace apikey {

TransferLog::TransferLog(std::string_view kind, const std::string& user)
    : what_(fmt::format("{} {:08x} of {}", kind, std::random_device()(), quoted_for_message(user))) {}

std::string TransferLog::line(const std::string& how) const {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began_;
    return fmt::format("{}: {} row{}, {} bytes in {:.2f} s: {}", what_, rows, rows == 1 ? "" : "s", bytes,
                       seconds.count(), how);
}

void TransferLog::ended(const std::string& how) const {
    spdlog::info("{}", line(how));
}

void TransferLog::failed(const std::string& how) const {
    spdlog::error("{}", line(how));
}

}  // namespace apikey
