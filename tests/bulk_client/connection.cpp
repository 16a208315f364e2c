#include "tests/bulk_client/connection.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

namespace apikey::bulk {

namespace {

constexpr std::array<std::size_t, 10> kBatches = {1, 1, 2, 3, 4, 5, 6, 8, 16, 50};
constexpr double kPatience = 15;    // seconds for an answer: a worker may be stopped for a while
constexpr double kForged = 0.2;     // requests that say themselves who they are
constexpr double kUncached = 0.02;  // to where every request is looked up
constexpr double kReset = 0.5;      // of those that leave: with RST instead of FIN
constexpr double kShortRest = 0.03, kLongRest = 0.08;

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

double monotonic() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Connection::~Connection() {
    close();
}

bool Connection::likely(double chance) {
    return std::uniform_real_distribution<>()(world_.chance) < chance;
}

void Connection::open() {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    if (fd_ < 0) fail("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(world_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fail("connect");
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = this}};
    if (epoll_ctl(world_.epoll, EPOLL_CTL_ADD, fd_, &event) != 0) fail("epoll_ctl");
}

void Connection::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    in_.clear();
    questions_.clear();
}

void Connection::tick(double now) {
    if (questions_.empty()) {
        if (now >= rests_until_) begin(now);
    } else if (now - questions_.front().asked > kPatience) {
        world_.judge.remember(Verdict::unexpected, questions_.front(), "no answer");
        close();
    }
}

// --- a batch ---------------------------------------------------------------------------------------------------

void Connection::begin(double now) {
    if (fd_ < 0) open();
    batch_ = kBatches[std::uniform_int_distribution<std::size_t>(0, kBatches.size() - 1)(world_.chance)];
    leaves_ = likely(world_.leaves);
    cut_ = leaves_ && likely(0.25);
    reads_ = leaves_ ? std::uniform_int_distribution<std::size_t>(0, batch_ - 1)(world_.chance) : batch_;
    unavailable_ = written_ = 0;
    out_.clear();
    for (std::size_t n = 0; n < batch_; ++n) {
        questions_.push_back({&world_.keys.pick(world_.chance), ++world_.last_nonce, now});
        append_request(questions_.back());
    }
    if (cut_) out_.resize(std::uniform_int_distribution<std::size_t>(1, out_.size() - 1)(world_.chance));
    write();
}

// What a client says about itself counts nothing.
void Connection::append_request(const Question& question) {
    const bool uncached = likely(kUncached);
    out_ += uncached ? "GET /asked HTTP/1.1\r\n" : "GET / HTTP/1.1\r\n";
    out_ += "Host: localhost\r\nAuthorization: Bearer " + question.key->secret +
            "\r\nX-Nonce: " + text_of(question.nonce) + "\r\n";
    if (likely(kForged)) {
        const std::string& text = world_.keys.pick_steady(world_.chance).text;
        const std::string user = text.substr(0, text.find(' '));
        out_ += "X-User-Id: " + user + "\r\nX_User_Id: " + user + "\r\nX-Api-Key-Scopes: everything\r\n";
    }
    out_ += "\r\n";
}

void Connection::write() {
    while (fd_ >= 0 && written_ < out_.size()) {
        const ssize_t sent = send(fd_, out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0) return lost();
        written_ += static_cast<std::size_t>(sent);
    }
    if (fd_ >= 0 && !out_.empty() && leaves_ && (cut_ || reads_ == 0)) leave();
}

void Connection::batch_is_over() {
    out_.clear();
    if (unavailable_ > batch_ / 8) {  // Redis is away: it waits a little, as a client would
        rests_until_ = monotonic() + std::uniform_real_distribution<>(kShortRest, kLongRest)(world_.chance);
    }
}

// --- answers ---------------------------------------------------------------------------------------------------

void Connection::ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) write();
    if ((events & ~EPOLLOUT) != 0) read();
}

void Connection::read() {
    while (fd_ >= 0) {
        char bytes[65536];
        const ssize_t got = recv(fd_, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return lost();
        in_.append(bytes, static_cast<std::size_t>(got));
        take_answers();
    }
}

void Connection::take_answers() {
    std::size_t taken = 0;
    bool closes = false;
    const double now = monotonic();
    while (!closes) {
        const auto answer = read_answer(std::string_view(in_).substr(taken));
        if (!answer) break;
        if (questions_.empty()) throw std::runtime_error("an answer that nobody asked for: " + in_.substr(taken, 200));
        if (world_.judge.take(questions_.front(), *answer, now) == Verdict::unavailable) ++unavailable_;
        questions_.pop_front();
        taken += answer->size;
        closes = answer->closes;
        if (leaves_ && batch_ - questions_.size() == reads_) return leave();
    }
    in_.erase(0, taken);
    if (questions_.empty()) batch_is_over();
    if (closes) lost();
}

// --- the end ---------------------------------------------------------------------------------------------------

void Connection::leave() {
    if (likely(kReset)) {
        const linger with_reset{.l_onoff = 1, .l_linger = 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &with_reset, sizeof(with_reset));
    }
    world_.judge.count(Verdict::left_early);
    close();
}

// The other side has closed it: a worker was killed, or reloaded.
void Connection::lost() {
    world_.judge.count(Verdict::closed, questions_.size());
    close();
}

}  // namespace apikey::bulk
