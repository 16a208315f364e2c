// Holds each answer against whose key was sent.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "tests/bulk_client/answer.hpp"
#include "tests/bulk_client/key_list.hpp"
#include "tests/bulk_client/verdict.hpp"

namespace apikey::bulk {

// A request that is under way.
struct Question {
    const Key* key = nullptr;
    std::uint64_t nonce = 0;
    double asked = 0;  // seconds of the monotonic clock, before its first byte was written
};

class Judge {
  public:
    // What is answered to keys that change goes into this file, for the ledger (t/lib/apikeytest/ledger.py): lines
    // `key id TAB asked TAB answered TAB text`, with an empty text where the key was refused.
    explicit Judge(const std::string& records);

    // Counts the answer, which came at `now`, and gives what it means.
    Verdict take(const Question& question, const Answer& answer, double now);
    void count(Verdict verdict, std::uint64_t times = 1) { count_of(tally_, verdict) += times; }
    void remember(Verdict verdict, const Question& question, const std::string& what);  // an example, and counts it

    // Answers that say yes or no: all but 503.
    std::uint64_t decided() const;
    // To standard output: lines `verdict TAB count`, then `example TAB text`.
    void report() const;

  private:
    Verdict verdict_on(const Question& question, const Answer& answer, double now);

    Tally tally_{};
    std::vector<std::string> examples_;
    std::ofstream records_;
};

// A nonce as the header has it.
std::string text_of(std::uint64_t nonce);

}  // namespace apikey::bulk
