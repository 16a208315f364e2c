// What Redis says about one key, and how an HMGET reply becomes it.
//
// The hash apikey:k:<64 hex> has the fields of kFactFields (DESIGN §3.5). What a reply may look
// like, and what follows (hazard R16):
//
//   all seven nil                                      absent: nobody's key (if Redis is trusted)
//   `hash` other than the one asked for                mismatch: it answers another question
//   `hash` nil, or any other field nil, beside others  corrupt
//   `id` or `user` empty                               corrupt
//   a control byte (00-1f, 7f) in any field            corrupt
//   `id` or `user` no UTF-8                            corrupt
//   a field longer than kMaxFieldBytes                 corrupt
//   `expires` neither empty nor 1-18 decimal digits    corrupt
//   no array of seven strings or nils                  mismatch (the pipeline has slipped)
//   otherwise                                          found
//
// corrupt and mismatch never let a request pass and never call a key unknown: the request is
// answered 503.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/redis/reply.hpp"

namespace apikey {

inline constexpr std::array<std::string_view, 7> kFactFields = {"hash",   "id",     "user",   "name",
                                                                "prefix", "scopes", "expires"};
inline constexpr std::size_t kMaxFieldBytes = 4096;
inline constexpr std::int64_t kNeverExpires = 0;

// Owned copies; reused from lookup to lookup so that a warmed-up process does not allocate.
struct KeyFacts {
    std::string id;
    std::string user;
    std::string name;
    std::string prefix;
    std::string scopes;                    // space separated; "*" = all
    std::int64_t expires = kNeverExpires;  // unix seconds; the key is refused from this second on
};

enum class FactsStatus : std::uint8_t { found, absent, corrupt, mismatch };

// Reads the reply to HMGET <hash of asked> kFactFields into `facts` (only meaningful when found).
// `marks` more fields were asked for behind them, under the name kMarkField that no hash has: the length of a reply then
// tells its place in line, also where nothing was found and no `hash` proves whose it is.
FactsStatus decode_facts(const redis::ReplyView& reply, const Digest& asked, KeyFacts& facts, std::size_t marks = 0);

inline constexpr std::string_view kMarkField = "-";

// The checks that DESIGN §4.3 rests on, in a file of their own so that a test build can leave them out and show that the
// identity oracle notices. Does this `hash` field answer the question about `asked`? Has the reply to a lookup with so
// many marks this many fields?
bool answers_question(std::string_view hash_field, const Digest& asked) noexcept;
bool is_in_place(std::size_t fields, std::size_t marks) noexcept;

}  // namespace apikey
