#include "core/redis/reply_reader.hpp"

#include <hiredis/read.h>

#include <new>
#include <utility>

namespace apikey::redis {

// hiredis calls these while it parses; each appends one node. Their `this` is ours, found through hiredis' privdata (the
// root task carries it, as every task does). Returning null makes hiredis give up.
struct ReplyReader::Builder {
    static ReplyReader& owner(const redisReadTask* task) { return *static_cast<ReplyReader*>(task->privdata); }

    static void* append(ReplyReader& self, const Reply::Node& node) {
        if (self.reply_.nodes.size() >= self.limits_.reply_nodes) return nullptr;
        self.reply_.nodes.push_back(node);
        return &self.reply_;  // only tells hiredis "made"; the nodes know their place
    }

    static ReplyType type_of(int type) {
        switch (type) {
            case REDIS_REPLY_STATUS: return ReplyType::status;
            case REDIS_REPLY_ERROR: return ReplyType::error;
            default: return ReplyType::string;
        }
    }

    static void* make_string(const redisReadTask* task, char* text, std::size_t length) {
        ReplyReader& self = owner(task);
        // hiredis 0.14 takes any two bytes after a bulk string for its CRLF.
        if (text[length] != '\r' || text[length + 1] != '\n') return nullptr;
        if (self.reply_.bytes.size() + length > self.limits_.reply_bytes) return nullptr;
        // hiredis ends a line at CR LF only: a bare CR or LF in it is a line end that was lost, and the line has
        // swallowed the reply behind it.
        const ReplyType type = type_of(task->type);
        if (type != ReplyType::string && std::string_view(text, length).find_first_of("\r\n") != std::string_view::npos)
            return nullptr;
        const std::size_t offset = self.reply_.bytes.size();
        self.reply_.bytes.append(text, length);
        return append(self, {type, 0, 0, offset, length});
    }

    static void* make_array(const redisReadTask* task, int elements) {
        const auto count = static_cast<std::uint32_t>(elements);
        if (count > owner(task).limits_.reply_nodes) return nullptr;
        return append(owner(task), {ReplyType::array, count, 0, 0, 0});
    }

    static void* make_integer(const redisReadTask* task, long long value) {
        return append(owner(task), {ReplyType::integer, 0, value, 0, 0});
    }

    static void* make_nil(const redisReadTask* task) { return append(owner(task), {ReplyType::nil, 0, 0, 0, 0}); }

    static void release(void*) {}

    static inline redisReplyObjectFunctions functions = {make_string, make_array, make_integer, make_nil, release};
};

ReplyReader::ReplyReader(Limits limits) : limits_(limits), reader_(nullptr) {
    reset();
}

ReplyReader::~ReplyReader() {
    redisReaderFree(reader_);
}

void ReplyReader::reset() {
    if (reader_ != nullptr) redisReaderFree(reader_);
    reader_ = redisReaderCreateWithFunctions(&Builder::functions);
    if (reader_ == nullptr) throw std::bad_alloc();
    reader_->privdata = this;
    reply_.clear();
    handed_out_ = false;
    failure_.clear();
}

void ReplyReader::feed(std::string_view bytes) {
    if (!failure_.empty() || bytes.empty()) return;
    if (redisReaderFeed(reader_, bytes.data(), bytes.size()) != REDIS_OK) {
        fail("no memory for its bytes");
    }
}

ReplyReader::Next ReplyReader::next(ReplyView* reply) {
    if (!failure_.empty()) return Next::failed;
    if (std::exchange(handed_out_, false)) reply_.clear();
    void* complete = nullptr;
    if (redisReaderGetReply(reader_, &complete) != REDIS_OK) {
        return fail(reader_->err == REDIS_ERR_OOM ? "a reply that is broken or larger than any that was asked for"
                                                  : "bytes that are not the Redis protocol");
    }
    if (complete == nullptr) {
        if (reader_->len - reader_->pos > limits_.unparsed_bytes) {
            return fail("a reply larger than any that was asked for");
        }
        return Next::need_bytes;
    }
    handed_out_ = true;
    *reply = ReplyView(reply_, 0);
    return Next::reply;
}

ReplyReader::Next ReplyReader::fail(std::string what) {
    failure_ = std::move(what);
    return Next::failed;
}

}  // namespace apikey::redis
