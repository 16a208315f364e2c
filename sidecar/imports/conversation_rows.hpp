// Conversations with their messages, as exports have them (DESIGN §3.3): JSON only.
#pragma once

#include <memory>

#include "sidecar/imports/copy_file.hpp"
#include "sidecar/imports/row_errors.hpp"
#include "sidecar/imports/row_reader.hpp"

namespace apikey {

// Of the lines. A message names its conversation by the number of its row, for it may come before the id.
inline constexpr const char* kConversationCopyColumns = "number, id, title, model, metadata, created_at, updated_at";
inline constexpr const char* kMessageCopyColumns = "conversation, position, id, role, content, metadata, created_at";

struct ConversationLines {
    CopyFile conversations;
    CopyFile messages;
};

// How a message is called in an error.
std::string message_field(std::uint64_t position, std::string_view member);

// Both must outlive the reader.
std::unique_ptr<RowReader> conversation_reader(RowErrors& errors, ConversationLines& lines);

}  // namespace apikey
