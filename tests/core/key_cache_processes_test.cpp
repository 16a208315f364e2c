// Readers and writers in several processes at once, on real shared memory; writers are killed all the time.
//
// A shared table says which version of each key Redis has, and below which version nothing may be found any more. Who
// changes a key raises its version, invalidates it in the cache, and raises the floor to what it was invalidated at. A
// reader that looks at the floor first must then find that version or a later one, in whole: all its texts follow from key
// and version. Inserters ask, read the version, and store it; between these everything may happen.
//
// The lock is one like the slab mutex of nginx: a word with the owner's pid; the parent opens it when the owner is dead,
// as nginx's master does. It is the only thing that is mended.
//
// Hazards: C1, C3, N23
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <random>
#include <thread>
#include <vector>

#include "tests/core/key_cache_block.hpp"

namespace apikey::test {
namespace {

constexpr std::uint64_t kKeys = 400;
constexpr std::uint64_t kFinds = 400'000;  // by each reader
constexpr int kReaders = 2;
constexpr int kWriters = 3;

struct Shared {
    std::atomic<pid_t> lock{0};
    std::atomic<bool> stop{false};
    std::array<std::atomic<std::int64_t>, kKeys> versions{};
    std::array<std::atomic<std::int64_t>, kKeys> floors{};
    std::atomic<std::uint64_t> known{0}, unknown{0}, stored{0}, refused{0}, changes{0}, changes_of_all{0}, kills{0};
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// A version that five divides is no key at all.
bool is_unknown(std::int64_t version) {
    return version % 5 == 0;
}

class Lock {
  public:
    explicit Lock(Shared& shared) : lock_(shared.lock) {
        for (pid_t nobody = 0; !lock_.compare_exchange_weak(nobody, getpid(), std::memory_order_acquire); nobody = 0)
            std::this_thread::yield();
    }
    ~Lock() { lock_.store(0, std::memory_order_release); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

  private:
    std::atomic<pid_t>& lock_;
};

// What the children do; they end with _exit: 0, or the number of what they saw wrong.
enum Wrong : int { kNothing, kStale, kTorn, kConfused };

class Child {
  public:
    Child(const Block& block, Shared& shared, unsigned seed) : cache_(block.attach()), shared_(shared), random_(seed) {}

    Wrong read() {
        for (std::uint64_t i = 0; i < kFinds; ++i) {
            if (const Wrong wrong = look_up(random_() % kKeys); wrong != kNothing) return wrong;
        }
        return kNothing;
    }

    Wrong write() {
        while (!shared_.stop) {
            if (random_() % 8 == 0) {
                change(random_() % kKeys);
            } else if (random_() % 2000 == 0) {
                change_all();
            } else {
                insert(random_() % kKeys);
            }
        }
        return kNothing;
    }

  private:
    Wrong look_up(std::uint64_t key) {
        const std::int64_t floor = shared_.floors[key].load(std::memory_order_acquire);
        switch (cache_.find(digest_of(key), now(), found_)) {
            case KeyCache::Found::nothing: return kNothing;
            case KeyCache::Found::unknown:
                ++shared_.unknown;
                if (!is_unknown(found_.says.validated_at)) return kConfused;
                break;
            case KeyCache::Found::known:
                ++shared_.known;
                if (is_unknown(found_.says.validated_at)) return kConfused;
                if (found_.facts() != telling_facts(key, found_.says.validated_at)) return kTorn;
        }
        return found_.says.validated_at < floor ? kStale : kNothing;
    }

    void insert(std::uint64_t key) {
        const Digest digest = digest_of(key);
        const auto ticket = cache_.ticket(digest);
        const std::int64_t version = shared_.versions[key].load(std::memory_order_acquire);
        if (random_() % 64 == 0) std::this_thread::yield();  // the answer takes a while
        const KeyFacts facts = telling_facts(key, version);
        const Lock lock(shared_);
        const auto result = is_unknown(version) ? cache_.insert_unknown(digest, ticket, version, now())
                                                : cache_.insert_known(digest, ticket, version, now(), facts);
        ++(result == KeyCache::Stored::stored ? shared_.stored : shared_.refused);
    }

    void change(std::uint64_t key) {
        const std::int64_t version = ++shared_.versions[key];
        {
            const Lock lock(shared_);
            cache_.invalidate(digest_of(key));
        }
        raise_floor(key, version);
        ++shared_.changes;
    }

    void change_all() {
        std::array<std::int64_t, kKeys> versions;
        for (std::uint64_t key = 0; key < kKeys; ++key)
            versions[key] = ++shared_.versions[key];
        cache_.invalidate_all();
        for (std::uint64_t key = 0; key < kKeys; ++key)
            raise_floor(key, versions[key]);
        ++shared_.changes_of_all;
    }

    void raise_floor(std::uint64_t key, std::int64_t version) {
        std::atomic<std::int64_t>& floor = shared_.floors[key];
        for (std::int64_t seen = floor; seen < version && !floor.compare_exchange_weak(seen, version);) {
        }
    }

    std::uint32_t now() { return static_cast<std::uint32_t>(shared_.stored / 1000); }

    KeyCache cache_;
    Shared& shared_;
    std::mt19937 random_;
    RoomyCachedKey found_;
};

template <class Job>
pid_t start(Job&& job) {
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(job());
}

// Kills a writer every now and then, and starts another in its place.
class Writers {
  public:
    Writers(const Block& block, Shared& shared) : block_(block), shared_(shared) {
        for (int i = 0; i < kWriters; ++i)
            pids_.push_back(start_one());
    }

    void replace_one() {
        pid_t& pid = pids_[seed_ % pids_.size()];
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
        shared_.lock.compare_exchange_strong(pid, 0);
        ++shared_.kills;
        pid = start_one();
    }

    void stop() {
        shared_.stop = true;
        for (const pid_t pid : pids_) {
            int status = 0;
            waitpid(pid, &status, 0);
            EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }

  private:
    pid_t start_one() {
        const unsigned seed = ++seed_;
        return start([this, seed] { return Child(block_, shared_, seed).write(); });
    }

    const Block& block_;
    Shared& shared_;
    unsigned seed_ = 0;
    std::vector<pid_t> pids_;
};

TEST(KeyCacheProcesses, ReadersSeeWholeEntriesAndNothingThatWasRevoked) {
    const Block memory(sizeof(Shared));
    auto& shared = *new (memory.memory()) Shared;
    const Block block(96 * 1024);
    const KeyCache cache = block.create();
    Writers writers(block, shared);
    std::vector<pid_t> readers;
    for (int i = 0; i < kReaders; ++i)
        readers.push_back(start([&, i] { return Child(block, shared, 1000U + static_cast<unsigned>(i)).read(); }));

    for (const pid_t reader : readers) {
        int status = 0;
        while (waitpid(reader, &status, WNOHANG) == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            writers.replace_one();
        }
        EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
        EXPECT_EQ(WEXITSTATUS(status), kNothing) << "1: revoked, 2: torn, 3: known and unknown confused";
    }
    writers.stop();
    EXPECT_TRUE(cache.is_sound());
    // All of it has happened, often.
    EXPECT_GT(shared.known, kFinds / 50);
    EXPECT_GT(shared.unknown, kFinds / 500);
    EXPECT_GT(shared.stored, 1'000u);
    EXPECT_GT(shared.changes, 100u);
    EXPECT_GT(shared.changes_of_all, 1u);
    EXPECT_GT(shared.kills, 10u);
}

}  // namespace
}  // namespace apikey::test
