// Conversations with their messages, as JSON.
#include <array>
#include <charconv>

#include "sidecar/exports/copy_text.hpp"
#include "sidecar/exports/export.hpp"
#include "sidecar/exports/export_session.hpp"
#include "sidecar/exports/piece_writer.hpp"
#include "sidecar/exports/statements.hpp"
#include "sidecar/weather.hpp"

namespace apikey {
namespace {

enum Column : std::size_t {
    kNumber,
    kId,
    kTitle,
    kModel,
    kMetadata,
    kCreated,
    kUpdated,
    kMessageId,
    kRole,
    kContent,
    kMessageMetadata,
    kMessageCreated,
    kColumns
};
using Columns = std::array<std::string_view, kColumns>;

// Nothing: the conversation has no messages.
std::optional<std::uint64_t> number_of(std::string_view column) {
    if (is_null_column(column)) return std::nullopt;
    std::uint64_t number = 0;
    std::from_chars(column.data(), column.data() + column.size(), number);
    return number;
}

class ConversationWriter {
  public:
    ConversationWriter(ByteSink& sink, const ExportHooks& hooks) : pieces_(sink), hooks_(hooks) {}

    void begin(UserSnapshot& snapshot) { pieces_.text() += json_begin(snapshot); }

    void add(std::string_view line) {
        Columns columns;
        if (!split_copy_line(line, columns)) fail();
        const auto number = number_of(columns[kNumber]);
        if (number.value_or(1) == 1) {
            begin_conversation(columns);
        } else if (number != last_ + 1 || columns[kId] != id_) {
            fail();
        }
        last_ = number.value_or(0);
        if (number) add_message(columns);
        if (pieces_.row_ends() && hooks_.on_rows) hooks_.on_rows(count_);
    }

    [[nodiscard]] bool is_empty() const noexcept { return count_ == 0; }

    std::uint64_t end() {
        if (count_ != 0) pieces_.text() += "]}";
        pieces_.text() += json_end(count_);
        pieces_.flush();
        if (hooks_.on_rows) hooks_.on_rows(count_);
        return count_;
    }

  private:
    // SQL does not promise in which order the messages of a conversation are joined to it; the plan does, and this looks.
    [[noreturn]] static void fail() {
        throw PostgresError("Postgres sent the messages of a conversation out of order");
    }

    void begin_conversation(const Columns& columns) {
        std::string& out = pieces_.text();
        out += count_ == 0 ? "\n" : "]},\n";
        ++count_;
        id_ = columns[kId];
        add_text(R"({"id":)", columns[kId]);
        add_text(R"(,"title":)", columns[kTitle]);
        add_text(R"(,"model":)", columns[kModel]);
        out += R"(,"metadata":)";
        append_plain(out, columns[kMetadata]);
        add_time(R"(,"createdAt":")", columns[kCreated]);
        add_time(R"(,"updatedAt":")", columns[kUpdated]);
        out += R"(,"messages":[)";
    }

    void add_message(const Columns& columns) {
        std::string& out = pieces_.text();
        if (last_ > 1) out += ',';
        add_text("\n{\"id\":", columns[kMessageId]);
        add_text(R"(,"role":)", columns[kRole]);
        add_text(R"(,"content":)", columns[kContent]);
        out += R"(,"metadata":)";
        append_plain(out, columns[kMessageMetadata]);
        add_time(R"(,"createdAt":")", columns[kMessageCreated]);
        out += '}';
    }

    void add_text(std::string_view name, std::string_view column) {
        pieces_.text() += name;
        append_as_json(pieces_.text(), column);
    }

    void add_time(std::string_view name, std::string_view column) {
        pieces_.text() += name;
        append_time(pieces_.text(), column);
        pieces_.text() += '"';
    }

    PieceWriter pieces_;
    const ExportHooks& hooks_;
    std::uint64_t count_ = 0;
    std::uint64_t last_ = 0;  // number of the message before
    std::string id_;          // of its conversation, as Postgres sent it
};

}  // namespace

std::optional<std::uint64_t> export_conversations(Postgres& postgres, const std::string& user,
                                                  const ConversationQuery& query, ByteSink& sink,
                                                  const ExportHooks& hooks) {
    UserSnapshot snapshot(postgres, user, kLongestExport);
    set_range(snapshot, query.range);
    if (query.id) snapshot.set("id", *query.id);
    ConversationWriter writer(sink, hooks);
    writer.begin(snapshot);
    postgres.copy_out(copy_conversations(query), kLongestSilence, [&](std::string_view line) { writer.add(line); });
    snapshot.end();
    if (query.id && writer.is_empty()) return std::nullopt;
    return writer.end();
}

}  // namespace apikey
