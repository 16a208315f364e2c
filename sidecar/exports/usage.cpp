// Usage as CSV and JSON.
#include "sidecar/exports/copy_text.hpp"
#include "sidecar/exports/export.hpp"
#include "sidecar/exports/export_session.hpp"
#include "sidecar/exports/piece_writer.hpp"
#include "sidecar/exports/statements.hpp"
#include "sidecar/exports/usage_rows.hpp"

namespace apikey {
namespace {

class UsageWriter {
  public:
    UsageWriter(TransferFormat format, ByteSink& sink, const ExportHooks& hooks)
        : csv_(format == TransferFormat::csv), pieces_(sink), hooks_(hooks) {}

    void begin(UserSnapshot& snapshot) { pieces_.text() += csv_ ? std::string(kUsageCsvHeader) : json_begin(snapshot); }

    void add(std::string_view line) {
        if (sum_.join(line)) return;
        write_row();
        sum_.begin();
    }

    std::uint64_t end() {
        write_row();
        if (!csv_) pieces_.text() += json_end(count_);
        pieces_.flush();
        if (hooks_.on_rows) hooks_.on_rows(count_);
        return count_;
    }

  private:
    void write_row() {
        if (!sum_.has_row()) return;
        const std::uint64_t before = pieces_.size();
        if (csv_) {
            rows_.append_csv(pieces_.text(), sum_.row());
        } else {
            pieces_.text() += count_ == 0 ? "\n" : ",\n";
            rows_.append_json(pieces_.text(), sum_.row());
        }
        ++count_;
        if (hooks_.on_date && rows_.date() != date_) hooks_.on_date(date_ = rows_.date(), before);
        if (pieces_.row_ends() && hooks_.on_rows) hooks_.on_rows(count_);
    }

    bool csv_;
    PieceWriter pieces_;
    const ExportHooks& hooks_;
    UsageSum sum_;
    UsageRowText rows_;
    std::string date_;
    std::uint64_t count_ = 0;
};

}  // namespace

std::uint64_t export_usage(Postgres& postgres, const std::string& user, const UsageExportQuery& query, ByteSink& sink,
                           const ExportHooks& hooks) {
    UserSnapshot snapshot(postgres, user, kLongestExport);
    set_selection(snapshot, query.which);
    UsageWriter writer(query.format, sink, hooks);
    writer.begin(snapshot);
    postgres.copy_out(copy_usage(query.which), kLongestSilence, [&](std::string_view line) { writer.add(line); });
    snapshot.end();
    return writer.end();
}

}  // namespace apikey
