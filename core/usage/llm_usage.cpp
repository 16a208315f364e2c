#include "core/usage/llm_usage.hpp"

#include <algorithm>
#include <cstring>

namespace apikey::usage {
namespace {

using Token = JsonScanner::Token;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kDone = "[DONE]";
constexpr std::string_view kWhite = " \t\n\r";

static_assert(sizeof(LlmUsage) <= 512, "one for each response that passes");

}  // namespace

LlmUsage::LlmUsage(Format format) noexcept : format_(format) {}

void LlmUsage::feed(std::string_view bytes) noexcept {
    while (!body_began_ && !bytes.empty()) {
        if (bytes.front() == kByteOrderMark[bom_bytes_]) {
            bytes.remove_prefix(1);
            body_began_ = ++bom_bytes_ == kByteOrderMark.size();
        } else {
            body_began_ = true;
            body(kByteOrderMark.substr(0, bom_bytes_));  // it was none
        }
    }
    body(bytes);
}

void LlmUsage::body(std::string_view bytes) noexcept {
    if (format_ == Format::json) return document(bytes);
    for (;;) {
        switch (lines_.next(&bytes)) {
            case SseLines::Piece::need_bytes: return;
            case SseLines::Piece::data: document(lines_.data()); break;
            case SseLines::Piece::event: end_document(); break;
        }
    }
}

void LlmUsage::end() noexcept {
    if (ended_) return;
    ended_ = true;
    if (!body_began_ && bom_bytes_ > 0) body(kByteOrderMark.substr(0, bom_bytes_));
    end_document();
}

LlmUsage::Outcome LlmUsage::outcome() const noexcept {
    return found_ ? Outcome::found : malformed_ ? Outcome::malformed : Outcome::absent;
}

// --- a document: the body, or the data of an event --------------------------------------------------------

void LlmUsage::document(std::string_view bytes) noexcept {
    if (document_ == Document::blank) begin_document(&bytes);
    if (document_ == Document::done_marker) return done_marker(bytes);
    while (document_ == Document::object) {
        const Token next = scanner_.next(&bytes);
        if (next == Token::need_bytes) return;
        token(next);
    }
}

void LlmUsage::begin_document(std::string_view* bytes) noexcept {
    bytes->remove_prefix(std::min(bytes->find_first_not_of(kWhite), bytes->size()));
    if (bytes->empty()) return;
    const bool may_be_done = format_ == Format::event_stream && bytes->front() == kDone.front();
    document_ = may_be_done ? Document::done_marker : Document::object;
    scanner_ = JsonScanner();
    inside_ = Inside::nothing;
    member_ = Member::other;
    in_response_ = false;
    passed_over_at_ = 0;
    marker_bytes_ = 0;
}

// No JSON, and no error.
void LlmUsage::done_marker(std::string_view bytes) noexcept {
    for (const char c : bytes) {
        const bool whole = marker_bytes_ == kDone.size();
        if (whole ? kWhite.find(c) == std::string_view::npos : c != kDone[marker_bytes_]) {
            document_ = Document::malformed;
            return;
        }
        if (!whole) ++marker_bytes_;
    }
}

// Also of one that was cut off: what was whole in it counts.
void LlmUsage::end_document() noexcept {
    const bool whole = document_ == Document::blank         ? format_ == Format::event_stream
                       : document_ == Document::done_marker ? marker_bytes_ == kDone.size()
                       : document_ == Document::object      ? scanner_.complete()
                                                            : false;
    if (!whole) malformed_ = true;
    if (of_document_ && document_ == Document::object) {
        tokens_ = *of_document_;
        found_ = true;
    }
    of_document_.reset();
    document_ = Document::blank;
}

// --- what the document says ---------------------------------------------------------------------------------

void LlmUsage::token(Token token) noexcept {
    if (token == Token::malformed) {
        document_ = Document::malformed;
        return;
    }
    if (passed_over_at_ > 0) {
        if (scanner_.depth() == passed_over_at_) passed_over_at_ = 0;
        return;
    }
    switch (token) {
        case Token::name: member_ = member_of(scanner_.text()); return;
        case Token::object: object_begins(); return;
        case Token::object_end: object_ends(); return;
        case Token::array:
            misfit();
            passed_over_at_ = static_cast<std::uint8_t>(scanner_.depth() - 1);
            return;
        default: scalar(token); return;
    }
}

LlmUsage::Member LlmUsage::member_of(std::string_view name) const noexcept {
    switch (inside_) {
        case Inside::top:
            if (name == "response") return Member::response;
            [[fallthrough]];
        case Inside::response:
            if (name == "model") return Member::model;
            if (name == "usage") return Member::usage;
            break;
        case Inside::usage:
            if (name == "prompt_tokens" || name == "input_tokens") return Member::in;
            if (name == "completion_tokens" || name == "output_tokens") return Member::out;
            if (name == "prompt_tokens_details" || name == "input_tokens_details") return Member::details;
            break;
        case Inside::details:
            if (name == "cached_tokens") return Member::cached;
            break;
        case Inside::nothing: break;
    }
    return Member::other;
}

void LlmUsage::object_begins() noexcept {
    if (inside_ == Inside::nothing) {
        inside_ = Inside::top;
    } else if (member_ == Member::response) {
        inside_ = Inside::response;
        in_response_ = true;
    } else if (member_ == Member::usage) {
        inside_ = Inside::usage;
        draft_ = {};
    } else if (member_ == Member::details) {
        inside_ = Inside::details;
    } else {
        misfit();
        passed_over_at_ = static_cast<std::uint8_t>(scanner_.depth() - 1);
    }
}

void LlmUsage::object_ends() noexcept {
    switch (inside_) {
        case Inside::details: inside_ = Inside::usage; break;
        case Inside::usage:
            inside_ = in_response_ ? Inside::response : Inside::top;
            usage_ends();
            break;
        case Inside::response:
            inside_ = Inside::top;
            in_response_ = false;
            break;
        default: inside_ = Inside::nothing; break;
    }
}

void LlmUsage::usage_ends() noexcept {
    if (!draft_.well_formed || !draft_.names_prompt) return;
    draft_.tokens.cached = std::min(draft_.tokens.cached, draft_.tokens.in);
    of_document_ = draft_.tokens;
}

// A member's value that is no object and no array.
void LlmUsage::scalar(Token token) noexcept {
    if (token == Token::null) return;
    if (member_ == Member::model && token == Token::text && !scanner_.text().empty()) {
        model_bytes_ = static_cast<std::uint8_t>(scanner_.text().size());
        std::memcpy(model_.data(), scanner_.text().data(), model_bytes_);
        return;
    }
    const auto count = token == Token::number ? scanner_.count() : std::nullopt;
    if (!count) return misfit();
    switch (member_) {
        case Member::in:
            draft_.tokens.in = *count;
            draft_.names_prompt = true;
            break;
        case Member::out: draft_.tokens.out = *count; break;
        case Member::cached: draft_.tokens.cached = *count; break;
        default: misfit(); break;
    }
}

// A value came that its member cannot have. Where that is of no interest, nothing happens: a model that is no text is none,
// and other formats have a "response" that is a text.
void LlmUsage::misfit() noexcept {
    const bool of_usage =
        member_ == Member::in || member_ == Member::out || member_ == Member::details || member_ == Member::cached;
    if (of_usage) draft_.well_formed = false;
    if (of_usage || member_ == Member::usage) malformed_ = true;
}

}  // namespace apikey::usage
