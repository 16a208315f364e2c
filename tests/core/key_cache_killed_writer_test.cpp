// A writer of the key cache that is killed at every store. The shipped code knows nothing of it: the writer is run one
// instruction at a time, and whenever the shared memory has changed,
//
//   the cache is sound;
//   each key is found as it was before, or as it is afterwards, or not at all, and never goes back;
//   keys that the writer has nothing to do with are found all the time;
//   the next writer can store, replace and remove what the dead one was about.
//
// First on copies of the memory, after every store; then with real SIGKILLs, at some of them.
// Hazards: N23
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "core/key_cache_layout.hpp"
#include "tests/core/key_cache_block.hpp"
#include "tests/core/stepped_process.hpp"

namespace apikey::test {
namespace {

constexpr std::uint64_t kKeys = 60;  // of one way or more, for 56 ways: some have been evicted
constexpr std::uint64_t kKey = 1'000;
constexpr std::uint32_t kNow = 100;
constexpr std::size_t kRealKills = 6;  // for each scenario
constexpr std::int64_t kUnknown = -1;  // a version of nothing

struct Scenario {
    const char* name;
    std::function<void(KeyCache&)> prepare;
    std::function<void(KeyCache&)> write;
};

void insert(KeyCache& cache, std::uint64_t key, std::int64_t version) {
    const Digest digest = digest_of(key);
    if (version == kUnknown) {
        cache.insert_unknown(digest, cache.ticket(digest), 1, kNow);
    } else {
        cache.insert_known(digest, cache.ticket(digest), 1, kNow, telling_facts(key, version));
    }
}

// The first version of kKey from `from` on that takes so many ways.
std::int64_t version_of(std::size_t ways, std::int64_t from = 1) {
    const auto ways_of = [](const KeyFacts& facts) {
        return key_cache::ways_for(facts.id.size() + facts.user.size() + facts.name.size() + facts.prefix.size() +
                                   facts.scopes.size());
    };
    while (ways_of(telling_facts(kKey, from)) != ways)
        ++from;
    return from;
}

const std::int64_t kOneWay = version_of(1);
const std::int64_t kOneWayToo = version_of(1, kOneWay + 1);
const std::int64_t kTwoWays = version_of(2);
const std::int64_t kFiveWays = version_of(5);

const std::vector<Scenario>& scenarios() {
    const auto nothing = [](KeyCache&) {};
    // Whatever is not the cache's own is done before, for every instruction takes a microsecond or ten here.
    const auto insert_version = [](std::int64_t version) -> std::function<void(KeyCache&)> {
        const Digest digest = digest_of(kKey);
        if (version == kUnknown)
            return [=](KeyCache& cache) { cache.insert_unknown(digest, cache.ticket(digest), 1, kNow); };
        return [=, facts = telling_facts(kKey, version)](KeyCache& cache) {
            cache.insert_known(digest, cache.ticket(digest), 1, kNow, facts);
        };
    };
    const auto invalidate = [digest = digest_of(kKey)](KeyCache& cache) { cache.invalidate(digest); };
    static const std::vector<Scenario> all = {
        {"a new key", nothing, insert_version(kOneWay)},
        {"a new key of several ways, in place of others", nothing, insert_version(kFiveWays)},
        {"a new unknown key", nothing, insert_version(kUnknown)},
        {"the same size again", insert_version(kOneWay), insert_version(kOneWayToo)},
        {"longer than before", insert_version(kOneWay), insert_version(kFiveWays)},
        {"shorter than before", insert_version(kFiveWays), insert_version(kTwoWays)},
        {"unknown becomes known", insert_version(kUnknown), insert_version(kTwoWays)},
        {"known becomes unknown", insert_version(kTwoWays), insert_version(kUnknown)},
        {"unknown again", insert_version(kUnknown), insert_version(kUnknown)},
        {"a known key changes", insert_version(kTwoWays), invalidate},
        {"an unknown key changes", insert_version(kUnknown), invalidate},
        {"any key may have changed", insert_version(kOneWay), [](KeyCache& cache) { cache.invalidate_all(); }},
    };
    return all;
}

// "" where nothing is found.
std::string describe(const KeyCache& cache, std::uint64_t key) {
    RoomyCachedKey found;
    switch (cache.find(digest_of(key), kNow, found)) {
        case KeyCache::Found::nothing: return "";
        case KeyCache::Found::unknown: return "unknown";
        case KeyCache::Found::known: break;
    }
    const std::int64_t version = found.facts().expires;
    return found.facts() == telling_facts(key, version) ? "version " + std::to_string(version) : "torn";
}

using Picture = std::map<std::uint64_t, std::string>;

Picture picture_of(const KeyCache& cache) {
    Picture picture = {{kKey, describe(cache, kKey)}};
    for (std::uint64_t key = 0; key < kKeys; ++key)
        picture[key] = describe(cache, key);
    return picture;
}

// One scenario: the memory before the writer begins, and what there is to see before and afterwards.
class Trial {
  public:
    explicit Trial(const Scenario& scenario) : scenario_(scenario) {
        KeyCache cache = before_.create();
        for (std::uint64_t key = 0; key < kKeys; ++key)
            insert(cache, key, key % 6 == 0 ? kUnknown : static_cast<std::int64_t>(1 + key % 2));
        scenario.prepare(cache);
        ticket_ = cache.ticket(digest_of(kKey));
        at_first_ = picture_of(cache);
        copy_.take(before_);
        KeyCache afterwards = copy_.attach();
        scenario.write(afterwards);
        at_last_ = picture_of(afterwards);
        begin();
    }

    // Lets a writer run on the real memory, until it is done or `stores` of its stores are seen, and kills it then.
    // `on_store` is called after each; gives how many there were.
    std::size_t write(std::size_t stores, const std::function<void()>& on_store) {
        begin();
        KeyCache cache = real_.attach();
        SteppedProcess writer([&] { scenario_.write(cache); });
        if (!writer.is_traced()) return 0;
        std::size_t seen = 0;
        while (seen < stores && writer.step()) {
            if (!last_.take(real_)) continue;
            ++seen;
            on_store();
        }
        return seen;
    }

    // Everything that is promised about a memory where a writer was killed. The memory is used up.
    void check(const Block& memory) {
        KeyCache cache = memory.attach();
        ASSERT_TRUE(cache);
        ASSERT_TRUE(cache.is_sound());
        for (const auto& [key, text] : picture_of(cache))
            check_key(key, text);
        check_late_answer(cache);
        check_next_writer(cache);
    }

    // On a copy: the writer goes on.
    void check_copy() {
        copy_.take(real_);
        check(copy_);
    }

    [[nodiscard]] const Block& real() const { return real_; }

  private:
    void begin() {
        real_.take(before_);
        last_.take(before_);
        changed_.clear();
    }

    void check_key(std::uint64_t key, const std::string& text) {
        const std::string& first = at_first_.at(key);
        const std::string& last = at_last_.at(key);
        if (text == first && text != last) {
            ASSERT_FALSE(changed_[key]) << "key " << key << " has come back as it was";
        } else if (text != first) {
            changed_[key] = true;
            ASSERT_TRUE(text == last || (text.empty() && (key == kKey || last.empty())))
                << "key " << key << ": " << text;
        }
    }

    // The writer was to tell that the key changed, and died when the entry was gone: what was asked before is refused.
    void check_late_answer(KeyCache& cache) {
        if (at_first_.at(kKey).empty() || !at_last_.at(kKey).empty() || !changed_[kKey]) return;
        ASSERT_EQ(cache.insert_unknown(digest_of(kKey), ticket_, 1, kNow), KeyCache::Stored::outdated);
    }

    static void check_next_writer(KeyCache& cache) {
        static const KeyFacts kOthers = common_facts();
        for (const std::int64_t version : {kFiveWays, kOneWay, kTwoWays}) {
            insert(cache, kKey, version);
            ASSERT_EQ(describe(cache, kKey), "version " + std::to_string(version));
        }
        ASSERT_TRUE(cache.is_sound());
        for (std::uint64_t key = 0; key < kKeys; ++key)
            cache.insert_known(digest_of(key + 2'000), cache.ticket(digest_of(key + 2'000)), 1, kNow, kOthers);
        insert(cache, kKey, kUnknown);
        ASSERT_EQ(describe(cache, kKey), "unknown");
        cache.invalidate(digest_of(kKey));
        ASSERT_EQ(describe(cache, kKey), "");
        ASSERT_TRUE(cache.is_sound());
    }

    const Scenario& scenario_;
    Block before_, real_, last_, copy_;
    KeyCache::Ticket ticket_;
    Picture at_first_, at_last_;
    std::map<std::uint64_t, bool> changed_;  // keys that are not found any more as they were at first
};

TEST(KeyCacheKilledWriter, LeavesASoundCacheWhereverItDies) {
    for (const Scenario& scenario : scenarios()) {
        SCOPED_TRACE(scenario.name);
        Trial trial(scenario);
        const std::size_t stores = trial.write(SIZE_MAX, [&] { trial.check_copy(); });
        if (stores == 0) GTEST_SKIP() << "this machine does not let a process trace its own child";
        ASSERT_FALSE(HasFatalFailure());
        const std::size_t kills = std::min(stores, kRealKills);
        for (std::size_t kill = 1; kill <= kills; ++kill) {
            const std::size_t at = kill * stores / kills;
            ASSERT_EQ(trial.write(at, [] {}), at);
            trial.check(trial.real());
            ASSERT_FALSE(HasFatalFailure()) << "killed at store " << at << " of " << stores;
        }
    }
}

}  // namespace
}  // namespace apikey::test
