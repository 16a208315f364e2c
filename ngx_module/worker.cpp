#include "ngx_module/worker.hpp"

#include "ngx_module/ngx_text.hpp"

namespace apikey::ngx {

namespace {

Worker* worker = nullptr;  // no constructor runs when nginx loads the module, and none in the master

}  // namespace

Worker::Worker(const MainConf& conf)
    : zone(*conf.zone), link(*conf.redis, std::string(view(conf.redis_prefix)), zone.counters()), lookups(link, zone) {}

bool Worker::watched_since(redis::Millis) const noexcept {
    return false;
}

Worker* this_worker() noexcept {
    return worker;
}

void start_worker(ngx_cycle_t* cycle) {
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return;  // cache helpers
    const auto* conf = static_cast<MainConf*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_api_key_module));
    if (conf == nullptr || !conf->used) return;  // null: no http block
    worker = new Worker(*conf);
    worker->link.start();
}

void stop_worker() noexcept {
    delete worker;
    worker = nullptr;
}

}  // namespace apikey::ngx
