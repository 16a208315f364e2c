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
// The last usage object of a stream counts, and each of its members only whole: a number that the end of the response cut
// off is none. Members of any other name, however deep, are passed over. Nothing is guessed: what is malformed, nested
// deeper than kDeepest, or cut off before its usage object was whole has no usage.
//
// Memory is bounded and of this object alone: no allocation, no exception.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace apikey::usage {

struct LlmTokens {
    std::uint64_t in = 0;      // prompt tokens, the cached ones among them
    std::uint64_t out = 0;     // completion tokens
    std::uint64_t cached = 0;  // of the prompt's
};

class LlmUsage {
  public:
    enum class Format : std::uint8_t { json, event_stream };
    static constexpr std::size_t kDeepest = 64;          // of arrays and objects; deeper is passed over as "malformed"
    static constexpr std::size_t kMostModelBytes = 128;  // a longer model's name is cut, at a character

    explicit LlmUsage(Format format) noexcept;

    // The next bytes of the body, cut anywhere.
    void feed(std::string_view bytes) noexcept;
    // The body has ended. The last event of a stream counts also without the empty line behind it.
    void end() noexcept;

    enum class Outcome : std::uint8_t {
        found,      // a whole usage object was there
        absent,     // the response was well-formed and had none
        malformed,  // it was no JSON of the expected form, or was cut off
    };
    [[nodiscard]] Outcome outcome() const noexcept;          // after end()
    [[nodiscard]] const LlmTokens& tokens() const noexcept;  // zeros unless found
    [[nodiscard]] std::string_view model()
        const noexcept;  // empty: none was named. JSON's escapes are undone; valid UTF-8 if the body was

  private:
    // (the implementation's)
};

}  // namespace apikey::usage
