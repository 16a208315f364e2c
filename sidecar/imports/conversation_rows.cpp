#include "sidecar/imports/conversation_rows.hpp"

#include <array>
#include <optional>
#include <string>

#include "sidecar/imports/field_checks.hpp"
#include "sidecar/imports/json_envelope.hpp"
#include "sidecar/imports/metadata_text.hpp"

namespace apikey {
namespace {

constexpr std::size_t kMostIdBytes = 255;
constexpr std::size_t kMostTitleBytes = 1000;
constexpr std::size_t kMostRoleBytes = 64;
constexpr std::size_t kMostContentBytes = std::size_t{16} * 1024 * 1024;
// Of every other text: longer than each of them may be.
constexpr std::size_t kMostKept = std::size_t{64} * 1024;

constexpr std::array<std::string_view, 7> kConversationNames = {"id",        "title",     "model",   "metadata",
                                                                "createdAt", "updatedAt", "messages"};
enum ConversationMember : std::uint8_t { kId, kTitle, kModel, kMetadata, kCreatedAt, kUpdatedAt, kMessages };
constexpr std::array<std::string_view, 5> kMessageNames = {"id", "role", "content", "metadata", "createdAt"};
enum MessageMember : std::uint8_t { kMessageId, kRole, kContent, kMessageMetadata, kMessageCreatedAt };

// The members that are texts or times, by their place among the names. What one lacks is empty; metadata then is {}.
template <std::size_t Count>
struct Values {
    std::array<std::string, Count> texts;
    std::string metadata = "{}";

    void clear() {
        for (std::string& text : texts)
            text.clear();
        metadata = "{}";
    }
};

class ConversationJson : public JsonEnvelope {
  public:
    ConversationJson(RowErrors& errors, ConversationLines& lines)
        : JsonEnvelope(errors), lines_(lines), members_(kConversationNames), message_members_(kMessageNames) {}

  private:
    void begin_row() override {
        members_.begin();
        conversation_.clear();
        where_ = Where::conversation;
        position_ = 0;
    }
    void take_in_row(const JsonEvent& event) override;
    void end_row() override;
    [[nodiscard]] std::size_t most_bytes_in_row() const override;

    void take_in_conversation(const JsonEvent& event);
    void take_in_messages(const JsonEvent& event);
    void take_in_message(const JsonEvent& event);
    void end_message();

    // The value of a member that is known, by its rule.
    void take_conversation_value(std::size_t member, const JsonEvent& event);
    void take_message_value(std::size_t member, const JsonEvent& event);
    void take_metadata(const JsonEvent& event);
    void end_metadata();
    static Complaint keep_time(const JsonEvent& event, std::string& value);

    // Of what is being read: the conversation's or the message's.
    [[nodiscard]] bool in_message() const noexcept { return where_ == Where::message; }
    [[nodiscard]] std::string field(std::string_view member) const {
        return in_message() ? message_field(position_, member) : std::string(member);
    }
    void complain(std::string_view member, std::string what) { errors().add(field(member), std::move(what)); }

    enum class Where : std::uint8_t { conversation, messages, message };

    ConversationLines& lines_;
    Where where_ = Where::conversation;
    Members members_;
    Members message_members_;
    Values<kConversationNames.size()> conversation_;
    Values<kMessageNames.size()> message_;
    std::uint64_t position_ = 0;  // of the message that comes or is read
    MetadataText metadata_;
    SkippedValue skipped_;
};

void ConversationJson::take_in_row(const JsonEvent& event) {
    if (skipped_.is_open()) return skipped_.take(event);
    if (metadata_.is_open()) {
        metadata_.take(event);
        if (!metadata_.is_open()) end_metadata();
        return;
    }
    switch (where_) {
        case Where::conversation: return take_in_conversation(event);
        case Where::messages: return take_in_messages(event);
        case Where::message: return take_in_message(event);
    }
}

std::size_t ConversationJson::most_bytes_in_row() const {
    if (metadata_.is_open()) return MetadataText::kMostBytes;
    if (in_message() && !skipped_.is_open() && message_members_.current() == kContent) return kMostContentBytes + 1;
    return kMostKept;
}

void ConversationJson::take_in_conversation(const JsonEvent& event) {
    if (event.kind == JsonKind::name) {
        if (auto complaint = members_.name(event.text)) errors().add("", std::move(*complaint));
    } else if (!members_.current()) {
        skipped_.begin(event);
    } else if (*members_.current() != kMessages) {
        take_conversation_value(*members_.current(), event);
    } else if (event.kind == JsonKind::array_begin) {
        where_ = Where::messages;
    } else {
        complain(kConversationNames[kMessages], "must be an array");
        skipped_.begin(event);
    }
}

void ConversationJson::take_in_messages(const JsonEvent& event) {
    if (event.kind == JsonKind::array_end) {
        where_ = Where::conversation;
    } else if (event.kind == JsonKind::object_begin) {
        where_ = Where::message;
        message_members_.begin();
        message_.clear();
    } else {
        errors().add("messages[" + std::to_string(position_++) + "]", "must be an object");
        skipped_.begin(event);
    }
}

void ConversationJson::take_in_message(const JsonEvent& event) {
    if (event.kind == JsonKind::object_end) {
        end_message();
    } else if (event.kind == JsonKind::name) {
        if (auto complaint = message_members_.name(event.text)) {
            errors().add("messages[" + std::to_string(position_) + "]", std::move(*complaint));
        }
    } else if (message_members_.current()) {
        take_message_value(*message_members_.current(), event);
    } else {
        skipped_.begin(event);
    }
}

void ConversationJson::take_conversation_value(std::size_t member, const JsonEvent& event) {
    if (member == kMetadata) return take_metadata(event);
    const bool may_be_null = member == kTitle || member == kModel;
    if (event.kind == JsonKind::null && may_be_null) return;
    std::string& value = conversation_.texts[member];
    Complaint complaint;
    if (event.kind != JsonKind::text) {
        skipped_.begin(event);
        complaint = "must be a text, in quotes";
    } else if (member == kCreatedAt || member == kUpdatedAt) {
        complaint = keep_time(event, value);
    } else {
        if (member == kId) complaint = check_id(event.text, kMostIdBytes);
        if (member == kTitle) complaint = check_text(event.text, kMostTitleBytes);
        if (member == kModel) complaint = check_text(event.text, kMostLabelBytes);
        if (!complaint) value = event.text;
    }
    if (complaint) complain(kConversationNames[member], std::move(*complaint));
}

void ConversationJson::take_message_value(std::size_t member, const JsonEvent& event) {
    if (member == kMessageMetadata) return take_metadata(event);
    if (event.kind == JsonKind::null && member == kMessageId) return;
    std::string& value = message_.texts[member];
    Complaint complaint;
    if (event.kind != JsonKind::text) {
        skipped_.begin(event);
        complaint = "must be a text, in quotes";
    } else if (member == kMessageCreatedAt) {
        complaint = keep_time(event, value);
    } else {
        if (member == kMessageId) complaint = check_id(event.text, kMostIdBytes);
        if (member == kRole) complaint = check_id(event.text, kMostRoleBytes);
        if (member == kContent) complaint = check_text(event.text, kMostContentBytes);
        if (!complaint) value = event.text;
    }
    if (complaint) complain(kMessageNames[member], std::move(*complaint));
}

Complaint ConversationJson::keep_time(const JsonEvent& event, std::string& value) {
    auto time = time_from(event.text);
    if (!time) return time.error();
    value = std::move(*time);
    return std::nullopt;
}

void ConversationJson::take_metadata(const JsonEvent& event) {
    if (event.kind == JsonKind::null) return;
    if (event.kind == JsonKind::object_begin) return metadata_.begin();
    complain("metadata", "must be an object");
    skipped_.begin(event);
}

void ConversationJson::end_metadata() {
    if (const Complaint& complaint = metadata_.complaint()) return complain("metadata", *complaint);
    (in_message() ? message_.metadata : conversation_.metadata) = metadata_.text();
}

void ConversationJson::end_message() {
    for (const std::size_t member : {kRole, kContent, kMessageCreatedAt})
        if (!message_members_.has(member)) complain(kMessageNames[member], "is missing");
    if (errors().none()) {
        CopyFile& line = lines_.messages;
        line.number(rows()).number(position_);
        message_.texts[kMessageId].empty() ? line.null() : line.text(message_.texts[kMessageId]);
        line.text(message_.texts[kRole]).text(message_.texts[kContent]).text(message_.metadata);
        line.word(message_.texts[kMessageCreatedAt]).end_line();
    }
    where_ = Where::messages;
    ++position_;
}

void ConversationJson::end_row() {
    for (const std::size_t member : {kId, kTitle, kCreatedAt, kUpdatedAt, kMessages})
        if (!members_.has(member)) complain(kConversationNames[member], "is missing");
    if (!errors().none()) return;
    CopyFile& line = lines_.conversations;
    line.number(rows());
    for (const std::size_t member : {kId, kTitle, kModel})
        line.text(conversation_.texts[member]);
    line.text(conversation_.metadata)
        .word(conversation_.texts[kCreatedAt])
        .word(conversation_.texts[kUpdatedAt])
        .end_line();
}

}  // namespace

std::string message_field(std::uint64_t position, std::string_view member) {
    return "messages[" + std::to_string(position) + "]." + std::string(member);
}

std::unique_ptr<RowReader> conversation_reader(RowErrors& errors, ConversationLines& lines) {
    return std::make_unique<ConversationJson>(errors, lines);
}

}  // namespace apikey
