// apikeyd: the sidecar. Starts its parts in order, waits for a signal, stops them in reverse.
#include <malloc.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <csignal>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

#include "sidecar/event_fd.hpp"
#include "sidecar/http/server.hpp"
#include "sidecar/key_sync.hpp"
#include "sidecar/log.hpp"
#include "sidecar/routes/routes.hpp"
#include "sidecar/run_main.hpp"
#include "sidecar/schema.hpp"
#include "sidecar/settings.hpp"
#include "sidecar/usage_counts.hpp"
#include "sidecar/usage_flusher.hpp"
#include "sidecar/usage_retention.hpp"

namespace apikey {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

EventFd* stop_on_signal = nullptr;  // set once, before the handlers are

void on_signal(int) {
    stop_on_signal->set();
}

void handle_signals(EventFd& stop) {
    stop_on_signal = &stop;
    struct sigaction action{};
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    action.sa_handler = SIG_IGN;  // a peer that went away is an error of write()
    sigaction(SIGPIPE, &action, nullptr);
}

// Many threads may run, each for a connection: they share a few heaps, and have small stacks.
void save_memory() {
    constexpr int kHeaps = 2;
    constexpr std::size_t kStackBytes = std::size_t{1} << 20;
    mallopt(M_ARENA_MAX, kHeaps);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0) pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

http::Limits http_limits(const Settings& settings) {
    http::Limits limits;
    limits.stall = settings.exports_stall;
    return limits;
}

int serve(const Settings& settings, const std::string& file) {
    start_log(settings.log_level, settings.log_format);
    save_memory();
    EventFd stop;
    EventFd cut;
    handle_signals(stop);
    std::atomic<int> status = 0;
    std::optional<http::ListenSocket> socket;
    try {
        socket.emplace(settings.listen, settings.listen_mode);
    } catch (const http::CannotListen& error) {
        std::cerr << "apikeyd: " << place_of_setting(file, "listen") << ": listen: " << error.what() << "\n";
        return kFailed;
    }
    spdlog::info("apikeyd starts (schema version {})", schema_version());
    // A part that ends by itself ends all.
    const auto start = [&](auto run) {
        return std::thread([&stop, &status, run] {
            try {
                run();
            } catch (const std::exception& error) {
                spdlog::error("{}", error.what());
                status = kFailed;
                stop.set();
            }
        });
    };
    UsageCounts usage_counts;
    Routes routes(settings, cut);
    const auto answer = [&routes](http::Exchange& exchange) { routes.handle(exchange); };
    std::array parts = {
        start([&] { KeySync(settings, stop).run(); }),
        start([&] { UsageFlusher(settings, stop, usage_counts).run(); }),
        start([&] { UsageRetention(settings, stop).run(); }),
        start(
            [&] { http::Server(*socket, answer, http_limits(settings), stop, cut).run([&routes] { routes.tidy(); }); }),
    };
    for (std::thread& part : parts)
        part.join();
    spdlog::info("apikeyd stopped");
    return status;
}

int run(int argc, char** argv) {
    CLI::App app{
        "apikeyd: keeps API keys in Redis as Postgres has them, for nginx to verify, and applies their usage to "
        "Postgres",
        "apikeyd"};
    std::string file = kDefaultConfigFile;
    bool check = false;
    app.add_option("--config", file, "settings (YAML)")->capture_default_str();
    app.add_flag("--check", check, "only check the settings: exit status 0 or 1");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kWrongUse;
    }
    const auto settings = load_settings(file);
    if (!settings.ok()) {
        std::cerr << "apikeyd: " << settings.error() << "\n";
        return kFailed;
    }
    if (check) {
        std::cout << file << ": settings are good\n";
        return 0;
    }
    return serve(*settings, file);
}

}  // namespace
}  // namespace apikey

int main(int argc, char** argv) {
    return apikey::run_main("apikeyd", apikey::run, argc, argv);
}
