#include "core/redis/pipeline.hpp"

#include <hiredis/read.h>

#include <limits>
#include <new>
#include <utility>

#include "core/redis/command.hpp"

namespace apikey::redis {

// hiredis calls these while it parses; each appends one node. Their `this` is the pipeline, found
// through the reader's privdata (the root task carries it, as every task does). Returning null
// makes hiredis give up.
struct Pipeline::Builder {
    static Pipeline& owner(const redisReadTask* task) { return *static_cast<Pipeline*>(task->privdata); }

    static void* append(Pipeline& self, const Reply::Node& node) {
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
        Pipeline& self = owner(task);
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

Pipeline::Pipeline() : Pipeline(Limits{}) {}

Pipeline::Pipeline(Limits limits) : limits_(limits), reader_(nullptr) {
    reset();
}

Pipeline::~Pipeline() {
    redisReaderFree(reader_);
}

void Pipeline::reset() {
    if (reader_ != nullptr) redisReaderFree(reader_);
    reader_ = redisReaderCreateWithFunctions(&Builder::functions);
    if (reader_ == nullptr) throw std::bad_alloc();
    reader_->privdata = this;
    output_.clear();
    written_ = 0;
    expected_.clear();
    reply_.clear();
    handed_out_ = false;
    failure_.clear();
}

void Pipeline::send(Tag tag, std::span<const std::string_view> arguments) {
    append_command(output_, arguments);
    expected_.push_back(tag);
}

void Pipeline::send(Tag tag, std::initializer_list<std::string_view> arguments) {
    send(tag, std::span<const std::string_view>(arguments.begin(), arguments.size()));
}

std::string_view Pipeline::output() const noexcept {
    return std::string_view(output_).substr(written_);
}

void Pipeline::written(std::size_t count) {
    written_ += count;
    if (written_ == output_.size()) {
        output_.clear();
        written_ = 0;
    }
}

void Pipeline::feed(std::string_view bytes) {
    if (!failure_.empty() || bytes.empty()) return;
    if (redisReaderFeed(reader_, bytes.data(), bytes.size()) != REDIS_OK) {
        fail("no memory for its bytes");
    }
}

Pipeline::Next Pipeline::next(Answer* answer) {
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
    if (expected_.empty()) return fail("a reply that nobody asked for");
    const Tag tag = expected_.front();
    expected_.pop_front();
    handed_out_ = true;
    *answer = Answer{tag, ReplyView(reply_, 0)};
    return Next::answer;
}

Pipeline::Next Pipeline::fail(std::string what) {
    failure_ = std::move(what);
    return Next::failed;
}

}  // namespace apikey::redis
