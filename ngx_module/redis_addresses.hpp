// Where Redis is: the addresses that its name had when nginx.conf was read and, where the http block has a `resolver`, those
// that DNS has given since.
//
//   dial() ──▶ the address to connect to, at once
//     └──▶ question to nginx's resolver, at most one under way ──▶ answer: another list, for the next dial()
//                                                              └─▶ none: the list stays
//
// Nobody ever waits for DNS. nginx keeps answers for their TTL (or `valid=` of its resolver), so a question need not go out
// for every attempt. The name's first addresses are the system's, and `nginx -t` fails without them.
//
// The question is nginx's, and refers to this object until its answer has come or the destructor has withdrawn it. A
// stopping worker does not wait for it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ngx_module/conf.hpp"
#include "ngx_module/fault_log.hpp"

namespace apikey::ngx {

class RedisAddresses {
  public:
    class Owner {
      public:
        // The address that dial() gave is none of Redis any more, as DNS says. May be called within dial().
        virtual void on_moved() noexcept = 0;

      protected:
        ~Owner() = default;
    };

    // Copies what it needs of the configuration. `owner` outlives it. Throws std::bad_alloc.
    RedisAddresses(const RedisConf& conf, Owner& owner);
    ~RedisAddresses();
    RedisAddresses(const RedisAddresses&) = delete;
    RedisAddresses& operator=(const RedisAddresses&) = delete;

    // The address to connect to now; valid until the next call or on_moved(). DNS is asked, for the next time.
    const Address& dial() noexcept;
    // The attempt, or the connection, has ended: the next dial() gives the next one. False: all have had their turn.
    bool next() noexcept;

  private:
    static void on_answer(ngx_resolver_ctx_t* question) noexcept;
    void ask() noexcept;
    [[nodiscard]] bool take(const ngx_resolver_ctx_t& answer);
    [[nodiscard]] std::vector<Address> found_by(const ngx_resolver_ctx_t& answer) const;

    Owner& owner_;
    std::string name_;  // not const: nginx lowers it in place
    const in_port_t port_;
    ngx_resolver_t* const resolver_;  // the configuration's, which outlives the worker; null: none
    const ngx_msec_t resolver_timeout_;
    std::vector<Address> addresses_;  // never empty
    std::size_t current_ = 0;
    bool dialled_ = false;                    // the current one has had its turn
    ngx_resolver_ctx_t* question_ = nullptr;  // under way
    FaultLog faults_;
};

}  // namespace apikey::ngx
