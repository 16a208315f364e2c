#include "core/redis/pipeline.hpp"

#include <algorithm>

#include "core/redis/command.hpp"

namespace apikey::redis {

Pipeline::Pipeline() : Pipeline(Limits{}) {}

Pipeline::Pipeline(Limits limits) : reader_(limits) {}

void Pipeline::reset() {
    reader_.reset();
    forget_output();
    expected_.clear();
    failure_.clear();
}

void Pipeline::send(Tag tag, std::span<const std::string_view> arguments) {
    append_command(output_, arguments);
    expected_.push_back(tag);
}

void Pipeline::send(Tag tag, std::initializer_list<std::string_view> arguments) {
    send(tag, std::span<const std::string_view>(arguments.begin(), arguments.size()));
}

void Pipeline::make_room(std::size_t bytes, std::size_t block) {
    if (output_.size() + bytes <= output_.capacity()) return;
    const std::size_t needed = output().size() + bytes;
    if (needed <= std::max(output_.capacity(), kKeptOutput)) {
        output_.erase(0, written_);  // a small one may double
    } else {
        std::string larger;
        larger.reserve(std::max(needed, block));
        larger += output();
        output_.swap(larger);
    }
    written_ = 0;
}

std::string_view Pipeline::output() const noexcept {
    return std::string_view(output_).substr(written_);
}

void Pipeline::written(std::size_t count) {
    written_ += count;
    if (written_ == output_.size()) forget_output();
}

void Pipeline::forget_output() {
    output_.clear();
    if (output_.capacity() > kKeptOutput) std::string().swap(output_);
    written_ = 0;
}

Pipeline::Next Pipeline::next(Answer* answer) {
    if (!failure_.empty()) return Next::failed;
    switch (reader_.next(&answer->reply)) {
        case ReplyReader::Next::need_bytes: return Next::need_bytes;
        case ReplyReader::Next::failed: failure_ = reader_.failure(); return Next::failed;
        case ReplyReader::Next::reply: break;
    }
    if (expected_.empty()) {
        failure_ = "a reply that nobody asked for";
        return Next::failed;
    }
    answer->tag = expected_.front();
    expected_.pop_front();
    return Next::answer;
}

}  // namespace apikey::redis
