// The object around the rows of every export in JSON (DESIGN §3.3):
//   {"success":true,"exportDate":"…","format":"json","data":[row, …],"recordCount":2}
// in any order. Without `data`, with a member twice or of another type it is malformed. Members that are not known are passed over.
#pragma once

#include <string>

#include "sidecar/imports/json_events.hpp"
#include "sidecar/imports/json_members.hpp"
#include "sidecar/imports/row_errors.hpp"
#include "sidecar/imports/row_reader.hpp"

namespace apikey {

// The derived class is handed the rows, and is where they are checked.
class JsonEnvelope : public RowReader, private JsonTaker {
  public:
    bool feed(std::string_view bytes) final { return events_.feed(bytes); }
    bool finish() final;
    [[nodiscard]] std::string malformed() const final;
    [[nodiscard]] std::uint64_t rows() const final { return rows_; }

  protected:
    explicit JsonEnvelope(RowErrors& errors);

    virtual void begin_row() = 0;
    // What is within the row's braces.
    virtual void take_in_row(const JsonEvent& event) = 0;
    virtual void end_row() = 0;
    // How many bytes the text that begins now, in a row, may have.
    [[nodiscard]] virtual std::size_t most_bytes_in_row() const = 0;

    RowErrors& errors() noexcept { return errors_; }

  private:
    bool take(const JsonEvent& event) final;
    [[nodiscard]] std::size_t most_text_bytes() const final;
    bool take_member(const JsonEvent& event);
    void take_in_data(const JsonEvent& event);
    bool refuse(std::string why);

    enum class Where : std::uint8_t { before, members, data, row, behind };

    RowErrors& errors_;
    JsonEvents events_;
    Where where_ = Where::before;
    std::size_t depth_in_row_ = 0;
    Members members_;
    SkippedValue skipped_;
    std::string record_count_;  // as it stands
    std::uint64_t rows_ = 0;
    std::string refusal_;
};

}  // namespace apikey
