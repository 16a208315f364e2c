#include "sidecar/postgres_pool.hpp"

#include <algorithm>
#include <utility>

#include "sidecar/schema.hpp"

namespace apikey {

using Clock = std::chrono::steady_clock;

PostgresPool::PostgresPool(std::string dsn, std::size_t kept, const EventFd& cut)
    : dsn_(std::move(dsn)), kept_(kept), cut_(cut) {
    idle_.reserve(kept_);
}

PostgresPool::Lease PostgresPool::take(int peer) {
    auto postgres = take_idle();
    if (!postgres) {
        Postgres::Options options;
        options.stop = &cut_;
        postgres = std::make_unique<Postgres>(dsn_, options);
        postgres->give_up_with(peer);
        require_schema(*postgres);
    }
    postgres->give_up_with(peer);
    return {*this, std::move(postgres)};
}

// One to which the server has said something meanwhile has been closed by it, as a rule.
std::unique_ptr<Postgres> PostgresPool::take_idle() {
    drop_old();
    for (;;) {
        std::unique_ptr<Postgres> postgres;
        {
            const std::lock_guard lock(mutex_);
            if (idle_.empty()) return nullptr;
            postgres = std::move(idle_.back().postgres);
            idle_.pop_back();
        }
        if (!wait_readable({postgres->socket()}, std::chrono::milliseconds(0))) return postgres;
    }
}

void PostgresPool::put(std::unique_ptr<Postgres> postgres) {
    postgres->give_up_with(-1);
    if (!postgres->is_idle()) return;
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kept_) idle_.push_back({std::move(postgres), Clock::now()});
}

void PostgresPool::drop_old() {
    std::vector<Idle> dropped;  // closed without the mutex
    const std::lock_guard lock(mutex_);
    const auto young = std::find_if(idle_.begin(), idle_.end(),
                                    [](const Idle& each) { return Clock::now() - each.since < kMostIdle; });
    std::move(idle_.begin(), young, std::back_inserter(dropped));
    idle_.erase(idle_.begin(), young);
}

}  // namespace apikey
