// A worker's conversation with a Redis that may lie: replies are right, late, lost, doubled, damaged or any bytes, in pieces, as
// the input chooses, while keys are asked for and given up, connections end and time passes. What is promised:
//
//   one answer     for everybody who waits, and none for who has left
//   found          only what Redis said of this very key, on this connection, after it was asked
//   unknown        not for a key that is there, with a reply lost or doubled (hazard R14)
//   why()          names no key
#include <map>

#include "tests/core/lookup_fixture.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace apikey::test {
namespace {

constexpr int kKeys = 8;

bool is_there(int key) {
    return key % 3 != 0;
}
std::string user_of(int key) {
    return "user-" + std::to_string(key);
}

// The end of the connection that answers as Redis does.
class RightServer {
  public:
    void receive(std::string_view bytes) {
        in_ += bytes;
        for (auto words = next_command(); !words.empty(); words = next_command())
            replies.push_back(reply_to(words));
    }

    std::vector<std::string> replies;  // that are to be sent
    int pass = 1;

  private:
    // Takes it off, when all of it is here.
    std::vector<std::string> next_command() {
        std::size_t at = 0;
        const auto number = [&]() -> std::size_t {
            const std::size_t end = in_.find("\r\n", at);
            if (end == std::string::npos) return std::string::npos;
            const std::size_t value = std::stoul(in_.substr(at + 1, end - at - 1));
            at = end + 2;
            return value;
        };
        const std::size_t count = number();
        if (count == std::string::npos) return {};
        std::vector<std::string> words;
        while (words.size() < count) {
            const std::size_t length = number();
            if (length == std::string::npos || at + length + 2 > in_.size()) return {};
            words.push_back(in_.substr(at, length));
            at += length + 2;
        }
        in_.erase(0, at);
        return words;
    }

    std::string reply_to(const std::vector<std::string>& words) {
        const std::string& name = words[0];
        if (name == "INFO") return words[1] == "server" ? server_info() : role_info();
        if (name == "GET") return epoch_reply(std::to_string(pass));
        if (name == "TIME") return "*2\r\n" + bulk("1795831507") + bulk("5");
        if (name == "XADD") return bulk("1795831507000-" + std::to_string(++entries_));
        if (name == "XPENDING") return "*0\r\n";
        if (name != "HMGET") return ":1\r\n";
        const std::size_t marks = words.size() - 2 - kFactFields.size();
        for (int key = 0; key < kKeys; ++key) {
            if (words[1] == "apikey:k:" + to_hex_string(digest_of(key)) && is_there(key))
                return found_reply(digest_of(key), user_of(key), marks);
        }
        return absent_reply(marks);
    }

    std::string in_;
    int entries_ = 0;
};

class Worker {
  public:
    explicit Worker(FuzzedDataProvider& data) : data_(data), session_(options()) { connect(); }

    void step() {
        switch (below(20)) {
            case 0: lose(); break;
            case 1: abandon_one(); break;
            case 2: pass_time(below(20) == 0 ? 1000 : 30); break;
            case 3: feed(data_.ConsumeRandomLengthString(80), &forged_); break;
            case 4: spoil(); break;
            case 5: ++server_.pass; break;
            case 6: work_besides(); break;
            case 7:
                if (below(8) == 0) session_.fail_waiting();
                break;
            case 8:
            case 9:
            case 10:
            case 11: ask(); break;
            case 12:
            case 13:
            case 14: write(); break;
            default: answer();
        }
        collect();
    }

    void end() {
        session_.fail_all();
        collect();
        EXPECT_TRUE(waiting_.empty());
    }

  private:
    struct Asked {
        int key;
        std::size_t fed;  // bytes that had come before
    };

    static LookupSession::Options options() {
        LookupSession::Options options;
        options.worker = "host:1:0123456789abcdef";
        options.most_waiting = 20;
        return options;
    }

    std::size_t below(std::size_t limit) { return data_.ConsumeIntegralInRange<std::size_t>(0, limit - 1); }

    void connect() {
        session_.connected(now_);
        server_ = {};
        fed_.clear();
        forged_ = slips_ = 0;
        for (auto& [lookup, asked] : waiting_)
            asked.fed = 0;
    }
    void lose() {
        session_.disconnected();
        collect();
        connect();
    }

    void ask() {
        const int key = static_cast<int>(below(kKeys));
        LookupSession::Lookup* lookup = session_.ask(digest_of(key), this, now_);
        if (lookup == nullptr) return;
        ASSERT_TRUE(waiting_.try_emplace(lookup, Asked{key, fed_.size()}).second) << "somebody else's";
    }
    void abandon_one() {
        if (waiting_.empty()) return;
        const auto one = std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(below(waiting_.size())));
        session_.abandon(one->first);
        waiting_.erase(one);
    }

    void write() {
        const std::string_view output = session_.output(now_);
        const std::size_t count = below(4) == 0 ? below(output.size() + 1) : output.size();
        server_.receive(output.substr(0, count));
        session_.written(count);
    }
    void feed(const std::string& bytes, int* what_else) {
        if (what_else != nullptr) ++*what_else;
        fed_ += bytes;
        if (session_.feed(Exact(bytes), now_)) return;
        ASSERT_FALSE(session_.why().empty());
        for (int key = 0; key < kKeys; ++key)
            ASSERT_EQ(session_.why().find(to_hex_string(digest_of(key))), std::string::npos);
        lose();
    }
    // Any number of replies, perhaps in two pieces.
    void answer() {
        std::string bytes;
        for (std::size_t count = 1 + below(4); count > 0 && !server_.replies.empty(); --count) {
            bytes += server_.replies.front();
            server_.replies.erase(server_.replies.begin());
        }
        const std::size_t cut = below(8) == 0 ? below(bytes.size() + 1) : 0;
        if (cut > 0) server_.replies.insert(server_.replies.begin(), bytes.substr(bytes.size() - cut));
        feed(bytes.substr(0, bytes.size() - cut), nullptr);
    }
    void spoil() {
        if (server_.replies.empty()) return;
        const std::size_t at = below(server_.replies.size());
        const auto place = server_.replies.begin() + static_cast<std::ptrdiff_t>(at);
        const auto how = below(4);
        if (how == 0) server_.replies.erase(place);
        if (how == 1) server_.replies.insert(place, std::string(*place));
        if (how == 2) std::swap(*place, server_.replies[below(server_.replies.size())]);
        if (how < 3) slips_ += how == 2 ? 2 : 1;  // the first batch is settled before the other one's reply has come
        if (how < 3 || place->empty()) return;
        ++forged_;
        (*place)[below(place->size())] = data_.ConsumeIntegral<char>();
    }
    void pass_time(std::size_t most) {
        now_ += static_cast<Millis>(below(most));
        if (!session_.tick(now_)) lose();
    }
    void work_besides() {
        switch (below(5)) {
            case 0: session_.renew_registration(now_); break;
            case 1: session_.end_registration(now_); break;
            case 2: session_.confirm(7, 8, now_); break;
            case 3: session_.ask_usage_state(now_); break;
            default: session_.ship({"batch", "1", "keys", "rows"}, ++cookie_, now_);
        }
    }

    void collect() {
        std::vector<LookupSession::Lookup*> done;
        session_.take_done(done);
        for (LookupSession::Lookup* lookup : done) {
            if (lookup->asker != nullptr) judge(*lookup);
            session_.release(lookup);
        }
        ASSERT_EQ(session_.waiting(), waiting_.size());
        std::vector<LookupSession::Shipped> shipped;
        session_.take_shipped(shipped);
        for (const auto& each : shipped) {
            ASSERT_GT(each.cookie, last_shipped_);
            last_shipped_ = each.cookie;
        }
    }
    void judge(LookupSession::Lookup& lookup) {
        const auto asked = waiting_.find(&lookup);
        ASSERT_NE(asked, waiting_.end()) << "nobody waits";
        const auto [key, fed] = asked->second;
        waiting_.erase(asked);
        ASSERT_EQ(lookup.digest, digest_of(key));
        if (lookup.outcome == LookupSession::Outcome::unavailable) return;
        ASSERT_NE(fed_.find(kRunId + " "), std::string::npos) << "no epoch";
        if (lookup.outcome == LookupSession::Outcome::found) {
            const std::string said =
                bulk(to_hex_string(digest_of(key))) + bulk(lookup.facts.id) + bulk(lookup.facts.user);
            ASSERT_NE(fed_.find(said, fed), std::string::npos) << "not what was said of key " << key;
            ASSERT_TRUE(forged_ > 0 || (is_there(key) && lookup.facts.user == user_of(key)));
        } else {
            ASSERT_TRUE(forged_ > 0 || slips_ > 1 || !is_there(key)) << "key " << key << " is there";
        }
    }

    FuzzedDataProvider& data_;
    LookupSession session_;
    RightServer server_;
    Millis now_ = 1000;
    std::map<LookupSession::Lookup*, Asked> waiting_;
    std::string fed_;  // on this connection
    int forged_ = 0;   // with bytes that the server did not say
    int slips_ = 0;    // replies that are not where they belong: lost, doubled, exchanged (two)
    std::uint64_t cookie_ = 0;
    std::uint64_t last_shipped_ = 0;
};

}  // namespace
}  // namespace apikey::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider data(bytes, size);
    apikey::test::Worker worker(data);
    while (data.remaining_bytes() > 0)
        worker.step();
    worker.end();
    return 0;
}
