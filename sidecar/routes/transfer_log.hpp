// The line that each export and import leaves in the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace apikey {

class TransferLog {
  public:
    // `kind`: "export usage", for example.
    TransferLog(std::string_view kind, const std::string& user);

    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;

    // "export usage 5f2c0a91 of "alice": 1000 rows, 54321 bytes in 0.21 s: complete".
    void ended(const std::string& how) const;
    void failed(const std::string& how) const;  // likewise, as an error

  private:
    [[nodiscard]] std::string line(const std::string& how) const;

    std::string what_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace apikey
