#include "tests/bulk_client/judge.hpp"

#include <cstdio>
#include <stdexcept>

namespace apikey::bulk {

namespace {

constexpr std::size_t kMostExamples = 10;
constexpr int kOk = 200, kUnauthorized = 401, kUnavailable = 503;

// nginx answers this request, and its upstream has seen this request and no other.
bool is_of(const Question& question, const Answer& answer) {
    const std::string nonce = text_of(question.nonce);
    return answer.nonce == nonce && answer.seen_nonce == (answer.status == kOk ? nonce : "");
}

}  // namespace

std::string text_of(std::uint64_t nonce) {
    char text[20];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(nonce));
    return text;
}

Judge::Judge(const std::string& records) : records_(records) {
    if (!records_) throw std::runtime_error("cannot write " + records);
}

Verdict Judge::verdict_on(const Question& question, const Answer& answer, double now) {
    if (!is_of(question, answer)) return answer.status == kOk ? Verdict::wrong_identity : Verdict::unexpected;
    if (answer.status == kUnavailable) return Verdict::unavailable;
    if (answer.status != kOk && answer.status != kUnauthorized) return Verdict::unexpected;
    const Key& key = *question.key;
    const bool is_refused = answer.status == kUnauthorized;
    switch (key.kind) {
        case Kind::bogus: return is_refused ? Verdict::refused : Verdict::bogus_passed;
        case Kind::steady:
            if (is_refused) return Verdict::valid_refused;
            return answer.body == key.text ? Verdict::right : Verdict::wrong_identity;
        case Kind::changing: break;
    }
    char times[64];
    std::snprintf(times, sizeof(times), "\t%.6f\t%.6f\t", question.asked, now);
    records_ << key.id << times << (is_refused ? std::string_view() : answer.body) << '\n';
    return Verdict::changing;
}

Verdict Judge::take(const Question& question, const Answer& answer, double now) {
    const Verdict verdict = verdict_on(question, answer, now);
    if (!must_never_be(verdict)) {
        count(verdict);
        return verdict;
    }
    remember(verdict, question,
             std::to_string(answer.status) + " \"" + std::string(answer.body) + "\" for nonce " +
                 std::string(answer.nonce) + ", seen " + std::string(answer.seen_nonce));
    return verdict;
}

void Judge::remember(Verdict verdict, const Question& question, const std::string& what) {
    count(verdict);
    if (examples_.size() >= kMostExamples) return;
    examples_.push_back(std::string(kVerdictNames[static_cast<std::size_t>(verdict)]) + ": sent \"" +
                        question.key->text + "\" with nonce " + text_of(question.nonce) + " at " +
                        std::to_string(question.asked) + ", got " + what);
}

std::uint64_t Judge::decided() const {
    Tally tally = tally_;
    return count_of(tally, Verdict::right) + count_of(tally, Verdict::refused) + count_of(tally, Verdict::changing);
}

void Judge::report() const {
    for (std::size_t n = 0; n < tally_.size(); ++n)
        std::printf("%.*s\t%llu\n", static_cast<int>(kVerdictNames[n].size()), kVerdictNames[n].data(),
                    static_cast<unsigned long long>(tally_[n]));
    for (std::string example : examples_) {
        for (char& c : example) {
            if (c == '\n') c = ' ';
        }
        std::printf("example\t%s\n", example.c_str());
    }
}

}  // namespace apikey::bulk
