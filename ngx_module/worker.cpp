#include "ngx_module/worker.hpp"

#include <openssl/rand.h>

#include <new>

#include "core/redis/change.hpp"
#include "ngx_module/guard.hpp"
#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

Worker* the_worker = nullptr;  // no constructor runs when nginx loads the module, and none in the master

namespace {

std::string new_name(std::string_view host) {
    std::uint64_t random = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&random), sizeof(random)) != 1) throw std::bad_alloc();
    return redis::worker_name(host, static_cast<std::uint64_t>(ngx_pid), random);
}

}  // namespace

Worker::Worker(const MainConf& conf, std::string_view host)
    : zone(*conf.zone),
      link(*conf.redis, std::string(view(conf.redis_prefix)), new_name(host), zone.counters()),
      lookups(link, zone),
      invalidation(*conf.redis, std::string(view(conf.redis_prefix)), link, zone),
      usage(conf, link, zone) {}

void start_worker(ngx_cycle_t* cycle) {
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return;  // cache helpers
    const auto* conf = static_cast<MainConf*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_api_key_module));
    if (conf == nullptr || !conf->used) return;  // null: no http block
    the_worker = new Worker(*conf, view(cycle->hostname));
    the_worker->link.start();
    the_worker->invalidation.start();
    the_worker->usage.start();
}

void stop_worker() noexcept {
    if (the_worker == nullptr) return;
    guarded(ngx_cycle->log, "worker exit", false, [] { return the_worker->invalidation.stop(), true; });
    guarded(ngx_cycle->log, "worker exit", false, [] { return the_worker->usage.stop(), true; });
    delete the_worker;
    the_worker = nullptr;
}

}  // namespace apikey::ngx
