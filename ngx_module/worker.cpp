// What lives as long as a worker process: its link to Redis.
#include "ngx_module/ngx.hpp"
// nginx first
#include <memory>

#include "ngx_module/ngx_text.hpp"
#include "ngx_module/redis_link.hpp"

namespace apikey::ngx {

namespace {

struct Worker {
    std::unique_ptr<RedisLink> link;
};

Worker* worker = nullptr;  // no constructor runs when nginx loads the module, and none in the master

}  // namespace

RedisLink* worker_link() noexcept {
    return worker != nullptr ? worker->link.get() : nullptr;
}

void start_worker(ngx_cycle_t* cycle) {
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return;  // cache helpers
    const auto* conf = static_cast<MainConf*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_api_key_module));
    if (conf == nullptr || !conf->used) return;  // null: no http block
    worker = new Worker;
    worker->link = std::make_unique<RedisLink>(*conf->redis, std::string(view(conf->redis_prefix)));
    worker->link->start();
}

void stop_worker() noexcept {
    delete worker;
    worker = nullptr;
}

}  // namespace apikey::ngx
