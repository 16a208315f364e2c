// Reads what an OpenAI-style response says about itself (api_key_usage_response openai) as its bytes pass: the model and
// the tokens. It looks, and never holds a byte back.
//
//   application/json    one object
//   text/event-stream   events (https://html.spec.whatwg.org/multipage/server-sent-events.html) whose data is one object
//                       each, or [DONE]
//
// Understood, at the top of an object, and in its member "response" (the events of the responses format):
//
//   "model": text
//   "usage": null | { "prompt_tokens" | "input_tokens": n, "completion_tokens" | "output_tokens": n,
//                     "prompt_tokens_details" | "input_tokens_details": { "cached_tokens": n }, … }
//
// The last usage object of a body counts, of those that are whole: it has ended, it names the prompt's tokens, and its numbers
// are whole ones from 0 to 2^63 - 1. null is as if the member was not there, and so is a usage object that names no prompt
// tokens. Of members of the same meaning the last one counts. Members of any other name, however deep, are passed over.
// Nothing is guessed: an object that is malformed, nested deeper than kDeepest, or cut off before its usage object was whole
// has no usage. In a stream that is said of each event by itself, and what another event said still counts.
//
// The model is the last one that was named, not empty; it counts also where the usage does not.
//
// Memory is bounded and of this object alone: no allocation, no exception.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/usage/json_scanner.hpp"
#include "core/usage/sse_lines.hpp"

namespace apikey::usage {

struct LlmTokens {
    std::uint64_t in = 0;      // prompt tokens, the cached ones among them
    std::uint64_t out = 0;     // completion tokens
    std::uint64_t cached = 0;  // of the prompt's: never more than those
};

class LlmUsage {
  public:
    enum class Format : std::uint8_t { json, event_stream };
    // Arrays and objects inside each other; deeper is malformed.
    static constexpr std::size_t kDeepest = JsonScanner::kDeepest;
    // A longer model's name is cut, at a character.
    static constexpr std::size_t kMostModelBytes = JsonScanner::kMostTextBytes;

    explicit LlmUsage(Format format) noexcept;

    // The next bytes of the body, cut anywhere.
    void feed(std::string_view bytes) noexcept;
    // The body has ended. The last event of a stream counts also without the empty line behind it. Once more does nothing.
    void end() noexcept;

    enum class Outcome : std::uint8_t {
        found,      // a whole usage object was there
        absent,     // the response was well-formed and had none
        malformed,  // it was no JSON of the expected form, or was cut off; of a stream, one event at least
    };
    [[nodiscard]] Outcome outcome() const noexcept;                             // after end()
    [[nodiscard]] const LlmTokens& tokens() const noexcept { return tokens_; }  // zeros unless found
    // Empty: none was named. JSON's escapes are undone; valid UTF-8 if the body was; no NUL. A view into this object.
    [[nodiscard]] std::string_view model() const noexcept { return {model_.data(), model_bytes_}; }

  private:
    // What the data of an event, or the body, has been so far.
    enum class Document : std::uint8_t { blank, object, done_marker, malformed };
    // The object whose members are read. All others are passed over.
    enum class Inside : std::uint8_t { nothing, top, response, usage, details };
    enum class Member : std::uint8_t { other, model, usage, response, in, out, details, cached };
    // A usage object that has not ended.
    struct Draft {
        LlmTokens tokens;
        bool names_prompt = false;
        bool well_formed = true;
    };

    void body(std::string_view bytes) noexcept;
    void document(std::string_view bytes) noexcept;
    void begin_document(std::string_view* bytes) noexcept;
    void done_marker(std::string_view bytes) noexcept;
    void end_document() noexcept;

    void token(JsonScanner::Token token) noexcept;
    [[nodiscard]] Member member_of(std::string_view name) const noexcept;
    void object_begins() noexcept;
    void object_ends() noexcept;
    void usage_ends() noexcept;
    void scalar(JsonScanner::Token token) noexcept;
    void misfit() noexcept;

    JsonScanner scanner_;
    SseLines lines_;
    Draft draft_;
    std::optional<LlmTokens> of_document_;  // the last whole usage object of the document that has not ended
    LlmTokens tokens_;
    std::array<char, kMostModelBytes> model_{};
    std::uint8_t model_bytes_ = 0;
    Format format_;
    Document document_ = Document::blank;
    Inside inside_ = Inside::nothing;
    Member member_ = Member::other;    // whose value comes next
    bool in_response_ = false;         // inside_ is the member "response", or in it
    std::uint8_t marker_bytes_ = 0;    // of [DONE] that were there
    std::uint8_t bom_bytes_ = 0;       // of the byte order mark that may begin the body
    std::uint8_t passed_over_at_ = 0;  // the depth to come back to; 0: nothing is being passed over
    bool body_began_ = false;          // the byte order mark is behind, or there is none
    bool ended_ = false;
    bool found_ = false;
    bool malformed_ = false;
};

}  // namespace apikey::usage
