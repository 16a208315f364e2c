// Which changes are in force (DESIGN §4.6), and who is to be told. Bookkeeping only: no Redis, no Postgres, no clock.
//
//   batch     changes that were published together. Its last message carries the leader's marker; Redis keeps the order
//             of messages, so a worker that confirmed the marker has applied the whole batch.
//   in force  every worker that must confirm the batch has done so: the members of apikey:workers, read in the same
//             step as the publishing, whose lease had not ended. While a batch waits the members are read again, and
//             whoever is gone, or whose lease has ended, need not confirm any more: it revalidates what it has cached.
//   receipt   what a client waits for. Its changes (parts) may go into several batches: it is in force when all parts
//             were published and all these batches are in force.
//   "*"       any key may have changed: applying it outdates everything that was cached before, so that a batch with it
//             takes the place of all that were published before.
//
// When the epoch was absent, the members may have been lost with it (FLUSHALL) while their leases go on: hold() until
// every lease of before has ended, then release() with the members of that moment.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis/change.hpp"
#include "sidecar/membership.hpp"
#include "sidecar/notice.hpp"

namespace apikey {

class Confirmations {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Marker = Receipt;
    // After this a client is told how many have confirmed; it waits for 2 s itself.
    static constexpr std::chrono::milliseconds kPatience{1800};
    // How often the members are read again while a batch waits.
    static constexpr std::chrono::milliseconds kReadEvery{50};
    static constexpr std::chrono::milliseconds kRegistration{redis::kRegistration};
    // Redis' clock may differ from a steady one by this between two readings, and no lease ends early because of it.
    static constexpr std::chrono::milliseconds kClockSlack{100};

    struct Batch {
        Marker marker = 0;
        std::size_t keys = 0;
        bool any = false;               // "*"
        std::vector<Receipt> receipts;  // one for each part of it
        Membership membership;
    };
    // What became of a batch.
    struct Outcome {
        std::size_t keys = 0;
        bool any = false;
        std::size_t confirmed = 0;
        std::size_t expected = 0;           // more than `confirmed`: out of patience
        std::chrono::milliseconds took{0};  // since it was published
        std::vector<std::string> missing;   // workers
    };

    // --- what happens; time never goes back ---

    // One more part of this receipt's change waits to be published.
    void heard(Receipt receipt, Time now);
    // One part of it turned out to be the same as another.
    void same_as_another(Receipt receipt);
    void published(const Batch& batch);
    void confirmed(std::string_view worker, Marker marker, Time now);
    // apikey:workers was read again, while the leader's lease was ours.
    void read(const Membership& membership);

    // From now on nothing is in force, and whoever confirms is remembered.
    void hold() noexcept { holding_ = true; }
    // Every lease of before hold() has ended, `membership` was read after that. False: some of these workers have not
    // confirmed all that was published meanwhile, maybe because they came later: publish a "*".
    bool release(const Membership& membership);

    // --- what follows ---

    // Receipts to be told now, each once: in force, or with fewer confirmed than expected after kPatience.
    std::vector<Done> take_done(Time now);
    [[nodiscard]] bool has_done(Time now) const;
    // Batches that are in force or out of patience, each once.
    std::vector<Outcome> take_outcomes(Time now);
    // Some batch waits for a worker.
    [[nodiscard]] bool is_waiting() const noexcept;
    // When to read() again, or to take what has run out of patience; Time::max() when nothing waits.
    [[nodiscard]] Time next_event() const;
    // Receipts that nobody was told about.
    [[nodiscard]] std::vector<Receipt> untold() const;

  private:
    using WorkerId = std::uint32_t;
    using Ids = std::set<WorkerId>;
    struct Worker {
        WorkerId id = 0;
        bool member = false;  // else: only known from its confirmations
        bool alive = false;   // its lease may go on
        double score = 0;
        Time seen;  // since when it is known to have this score
    };
    struct Open {
        std::size_t keys = 0;
        bool any = false;
        Time published;
        Ids owing;  // must confirm and have not
        Ids done;
        std::set<Receipt> receipts;
        bool reported = false;
    };
    struct Waiting {
        Time deadline;
        std::size_t parts = 0;     // not published yet
        std::set<Marker> batches;  // not in force yet
        Ids done;                  // who confirmed those that are
    };

    void take_members(const Membership& membership);
    [[nodiscard]] bool has_ended(const Worker& worker, const Membership& membership) const;
    void watch_clock(const Membership& membership);
    [[nodiscard]] Ids alive() const;
    void supersede_all(Open& by, Marker marker);
    void settle(Time now);
    [[nodiscard]] bool is_due(const Waiting& waiting, Time now) const;
    [[nodiscard]] Done done_of(Receipt receipt, const Waiting& waiting) const;
    [[nodiscard]] std::vector<std::string> names_of(const Ids& ids) const;

    std::map<std::string, Worker, std::less<>> workers_;
    WorkerId last_id_ = 0;
    std::map<Marker, Open> open_;
    std::map<Receipt, Waiting> waiting_;
    std::vector<Outcome> outcomes_;  // in force
    bool holding_ = false;

    Time last_read_;               // received
    std::int64_t last_clock_ = 0;  // Redis'
    Time scores_count_from_;       // its clock jumped: until then scores say nothing
};

}  // namespace apikey
