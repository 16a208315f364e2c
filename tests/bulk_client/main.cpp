// The oracle's client for very many requests: it asks for answers of t/lib/apikeytest/bulk.py's nginx with keys of many users, on many
// connections, and counts what they mean. Every request has a number of its own (X-Nonce), which nginx and the upstream
// behind it send back: an answer is that of its request by its place and by its number.
#include <sys/epoll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <deque>
#include <exception>
#include <iostream>

#include "tests/bulk_client/connection.hpp"

namespace {

using namespace apikey::bulk;

struct Settings {
    std::string keys, records, seed = "1";
    std::uint16_t port = 0;
    std::size_t connections = 64;
    std::uint64_t requests = 1000;
    double seconds = 30, leaves = 0.05;
};

void read_settings(CLI::App& app, Settings& settings) {
    app.add_option("--keys", settings.keys, "file of the keys")->required();
    app.add_option("--records", settings.records, "file that what is answered to keys that change is written to")
        ->required();
    app.add_option("--port", settings.port, "of 127.0.0.1")->required();
    app.add_option("--seed", settings.seed, "of chance");
    app.add_option("--connections", settings.connections, "at the same time");
    app.add_option("--requests", settings.requests, "are enough, of those that are answered yes or no");
    app.add_option("--seconds", settings.seconds, "are enough");
    app.add_option("--leaves", settings.leaves, "how likely a batch of requests is left before all is answered");
}

void run(World& world, const Settings& settings) {
    constexpr int kMostEvents = 64;
    constexpr int kTick = 5;  // milliseconds
    const double end = monotonic() + settings.seconds;
    std::deque<Connection> connections;
    for (std::size_t n = 0; n < settings.connections; ++n)
        connections.emplace_back(world);
    std::array<epoll_event, kMostEvents> events{};
    for (double now = monotonic(); now < end && world.judge.decided() < settings.requests; now = monotonic()) {
        for (Connection& connection : connections)
            connection.tick(now);
        const int count = epoll_wait(world.epoll, events.data(), kMostEvents, kTick);
        for (int n = 0; n < count; ++n)
            static_cast<Connection*>(events[static_cast<std::size_t>(n)].data.ptr)
                ->ready(events[static_cast<std::size_t>(n)].events);
    }
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Asks with keys of many users, and judges the answers.");
    Settings settings;
    read_settings(app, settings);
    CLI11_PARSE(app, argc, argv);
    try {
        const KeyList keys(settings.keys);
        Judge judge(settings.records);
        std::seed_seq seed(settings.seed.begin(), settings.seed.end());
        const auto first_nonce = static_cast<std::uint64_t>(getpid()) << 40U;
        World world{keys, judge, std::mt19937_64(seed), settings.leaves, settings.port, epoll_create1(0), first_nonce};
        run(world, settings);
        judge.report();
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
