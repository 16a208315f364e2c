#include "ngx_module/ngx.hpp"
// nginx first
#include "ngx_module/redis_addresses.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

constexpr std::size_t kMostAddresses = 64;  // each is tried without a pause

sockaddr* socket_address(const Address& address) {
    return reinterpret_cast<sockaddr*>(const_cast<std::byte*>(address.socket_address.data()));
}

socklen_t length(const Address& address) {
    return static_cast<socklen_t>(address.socket_address.size());
}

bool same(const Address& a, const Address& b) {
    return ngx_cmp_sockaddr(socket_address(a), length(a), socket_address(b), length(b), 1) == NGX_OK;
}

std::string names(const std::vector<Address>& addresses) {
    std::string text;
    for (const Address& address : addresses)
        text += (text.empty() ? "" : ", ") + address.name;
    return text;
}

}  // namespace

RedisAddresses::RedisAddresses(const RedisConf& conf, Owner& owner)
    : owner_(owner),
      name_(conf.url.host),
      port_(conf.url.port),
      resolver_(conf.resolver),
      resolver_timeout_(conf.resolver_timeout),
      addresses_(conf.addresses) {}

RedisAddresses::~RedisAddresses() {
    if (question_ != nullptr) ngx_resolve_name_done(question_);
}

const Address& RedisAddresses::dial() noexcept {
    ask();  // nginx may have the answer already
    dialled_ = true;
    return addresses_[current_];
}

bool RedisAddresses::next() noexcept {
    if (!dialled_) return true;
    current_ = (current_ + 1) % addresses_.size();
    return current_ != 0;
}

void RedisAddresses::ask() noexcept {
    if (question_ != nullptr || resolver_ == nullptr) return;
    question_ = ngx_resolve_start(resolver_, nullptr);
    if (question_ == nullptr) return;  // no memory; another time
    question_->name = borrowed(name_);
    question_->handler = on_answer;
    question_->data = this;
    question_->timeout = resolver_timeout_;
    question_->cancelable = 1;
    if (ngx_resolve_name(question_) != NGX_OK) question_ = nullptr;  // which has freed it
}

void RedisAddresses::on_answer(ngx_resolver_ctx_t* question) noexcept {
    auto& self = *static_cast<RedisAddresses*>(question->data);
    self.question_ = nullptr;
    const bool moved = guarded(ngx_cycle->log, "DNS answer", false, [&] { return self.take(*question); });
    ngx_resolve_name_done(question);
    if (moved) self.owner_.on_moved();
}

// True: the current address is none of the name's any more.
bool RedisAddresses::take(const ngx_resolver_ctx_t& answer) {
    std::vector<Address> found = found_by(answer);
    if (found.empty()) {
        const char* why = answer.state == NGX_OK ? "no address" : ngx_resolver_strerror(answer.state);
        faults_.report(NGX_LOG_WARN, FaultLog::Kind::resolver,
                       "the resolver has no answer for \"" + name_ + "\" (" + why + "); Redis is still looked for at " +
                           names(addresses_));
        return false;
    }
    if (std::is_permutation(found.begin(), found.end(), addresses_.begin(), addresses_.end(), same)) return false;
    faults_.report(NGX_LOG_NOTICE, FaultLog::Kind::moved, "Redis \"" + name_ + "\" is now at " + names(found));
    addresses_.swap(found);
    const Address& before = found[current_];
    const auto kept = std::find_if(addresses_.begin(), addresses_.end(),
                                   [&](const Address& address) { return same(address, before); });
    const bool moved = kept == addresses_.end();
    current_ = moved ? 0 : static_cast<std::size_t>(kept - addresses_.begin());
    if (moved) dialled_ = false;
    return moved;
}

std::vector<Address> RedisAddresses::found_by(const ngx_resolver_ctx_t& answer) const {
    std::vector<Address> found;
    if (answer.state != NGX_OK) return found;
    for (std::size_t i = 0; i < std::min<std::size_t>(answer.naddrs, kMostAddresses); ++i) {
        const auto* bytes = reinterpret_cast<const std::byte*>(answer.addrs[i].sockaddr);
        Address address{{bytes, bytes + answer.addrs[i].socklen}, {}};  // a copy: nginx's is shared by who asks
        ngx_inet_set_port(socket_address(address), port_);
        std::array<u_char, NGX_SOCKADDR_STRLEN> text;
        const std::size_t size = ngx_sock_ntop(socket_address(address), length(address), text.data(), text.size(), 1);
        address.name.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
        found.push_back(std::move(address));
    }
    return found;
}

}  // namespace apikey::ngx
