// Where an export of apikeyctl's goes: stdout, a device or pipe, or a file that has its name only when it is complete.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/byte_stream.hpp"

namespace apikey {

class ExportFile : public ByteSink {
  public:
    // Empty: stdout. What is there and is no file, as /dev/null, is written to as it is. Else PATH.part is made, beside PATH. Throws
    // Refusal when there is one already: it may be what an export that broke off has left, and be wanted.
    explicit ExportFile(const std::string& path);
    // Leaves PATH.part as it is.
    ~ExportFile() override;
    ExportFile(const ExportFile&) = delete;
    ExportFile& operator=(const ExportFile&) = delete;

    void write(std::string_view bytes) override;
    // A date begins after so many bytes of the export, some of which may come here later.
    void note_date(const std::string& date, std::uint64_t bytes);
    // It is whole: on the disk, and under its name.
    void complete();
    // It will not be whole. Keeps what stands before the last date that came here, and says which date that is: what is from then on
    // is missing. Nothing: no date is complete, and nothing was kept.
    std::optional<std::string> cut_back();
    // It will not be whole, and a part is of no use.
    void remove();

    // There is no part: what was written has been seen.
    [[nodiscard]] bool is_direct() const noexcept { return part_.empty(); }
    [[nodiscard]] const std::string& part() const noexcept { return part_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  private:
    struct Date {
        std::string date;
        std::uint64_t begins;
        bool is_first;
    };
    void forget_earlier_dates();

    std::string path_;
    std::string part_;
    int fd_;
    std::uint64_t size_ = 0;
    std::vector<Date> dates_;  // the last that begins in what has come here, and those that begin later
    bool any_date_ = false;
};

}  // namespace apikey
