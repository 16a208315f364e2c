// The simulated Redis' end of a worker's connection: commands as bytes in, one executed at a time, replies as bytes out,
// or spoilt on their way.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/core/lookup_replies.hpp"
#include "tests/core/lookup_world.hpp"

namespace apikey::test {

class Server {
  public:
    explicit Server(Redis& redis) : redis_(redis) {
        for (int key = 0; key < kKeys; ++key)
            names_["apikey:k:" + to_hex_string(digest_of(key))] = key;
    }

    void reset() {
        in_.clear();
        out_.clear();
        later_.clear();
        last_.clear();
        slip_ = Slip::none;
        slipped_ = false;
        shipments_.clear();
        last_check_ = {};
    }
    void receive(std::string_view bytes) { in_ += bytes; }
    // Executes the next command if all of it is here.
    void execute() {
        const auto words = next_command();
        if (!words.empty()) out_ += reply_to(words);
    }
    std::string send(std::size_t most) {
        std::string bytes = out_.substr(0, most);
        out_.erase(0, bytes.size());
        return bytes;
    }
    // The next reply is lost, doubled, comes after the one behind it, is the last one to a lookup once more, or has
    // another key's record.
    enum class Slip { none, drop, twice, later, last_again, other_key };
    void slip(Slip how) {
        slip_ = how;
        slipped_ = true;
    }
    // Was any reply of this connection spoilt? What is shipped is judged only where none was.
    [[nodiscard]] bool slipped() const { return slipped_; }

    // An XADD of this connection, or a GET of the epoch, when it was executed.
    struct Moment {
        std::size_t command = 0;  // its number
        int losses = 0;           // Redis::usage_losses
        bool done = false;        // not refused
    };
    // By the batch that was shipped.
    [[nodiscard]] const std::map<std::string, Moment>& shipments() const { return shipments_; }
    [[nodiscard]] const Moment& last_check() const { return last_check_; }
    // Everything that was executed has been sent.
    [[nodiscard]] bool is_read() const { return out_.empty() && later_.empty(); }

  private:
    std::vector<std::string> next_command() {
        std::vector<std::string> words;
        std::size_t at = 0;
        const auto number = [&](char type) -> std::optional<std::size_t> {
            const std::size_t end = in_.find("\r\n", at);
            if (end == std::string::npos) return std::nullopt;
            EXPECT_EQ(in_[at], type);
            const std::size_t value = std::stoul(in_.substr(at + 1, end - at - 1));
            at = end + 2;
            return value;
        };
        const auto count = number('*');
        for (std::size_t i = 0; count && i < *count; ++i) {
            const auto length = number('$');
            if (!length || in_.size() < at + *length + 2) return {};
            words.push_back(in_.substr(at, *length));
            at += *length + 2;
        }
        if (count) in_.erase(0, at);
        return words;
    }

    std::string reply_to(const std::vector<std::string>& words) {
        const bool is_lookup = words[0] == "HMGET";
        const std::string reply = answer(words);
        const std::string last = is_lookup ? std::exchange(last_, reply) : reply;
        switch (std::exchange(slip_, Slip::none)) {
            case Slip::none: break;
            case Slip::drop: return "";
            case Slip::twice: return reply + reply;
            case Slip::later: later_ = reply; return "";
            case Slip::last_again: return last;
            case Slip::other_key:
                if (is_lookup) return found_reply(digest_of(names_.at(words[1]) + 1), "-7", marks_in(words));
        }
        return reply + std::exchange(later_, "");
    }

    std::string answer_usage(const std::vector<std::string>& words) {
        if (words[0] == "XLEN") return ":1\r\n";
        if (words[0] == "XPENDING") return "*1\r\n*4\r\n" + bulk("5-0") + bulk("c") + ":1\r\n:1\r\n";
        const bool taken = redis_.master && !redis_.full;
        shipments_[words[4]] = {.command = commands_, .losses = redis_.usage_losses, .done = taken};
        return taken ? bulk("1795831507200-" + std::to_string(commands_)) : "-OOM command not allowed\r\n";
    }

    std::string answer(const std::vector<std::string>& words) {
        ++commands_;
        if (words[0].starts_with("X")) return answer_usage(words);
        if (words[0] == "GET") last_check_ = {.command = commands_, .losses = redis_.usage_losses, .done = true};
        if (words[0] == "INFO" && words[1] == "server") return server_info(redis_.run_id);
        if (words[0] == "INFO") return role_info(redis_.master ? "master" : "slave");
        if (words[0] == "GET") return redis_.content.epoch.empty() ? kNilReply : bulk(redis_.content.epoch);
        EXPECT_EQ(words[0], "HMGET");
        const int key = names_.at(words[1]);
        const Owner owner = redis_.content.keys.at(key);
        if (owner == kInactive) return absent_reply(marks_in(words));
        return found_reply(digest_of(key), std::to_string(owner), marks_in(words));
    }

    static std::size_t marks_in(const std::vector<std::string>& words) { return words.size() - 2 - kFactFields.size(); }

    Redis& redis_;
    std::map<std::string, int> names_;
    std::string in_;
    std::string out_;
    std::string later_;
    std::string last_;
    Slip slip_ = Slip::none;
    bool slipped_ = false;
    std::size_t commands_ = 0;
    std::map<std::string, Moment> shipments_;
    Moment last_check_;
};

}  // namespace apikey::test
