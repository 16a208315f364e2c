"""What a flood of keys does to the cache, and how many keys it holds."""

from .contestants import Setting, auth_request, bare, lua, product
from .load import count_accepted, helpers, private_memory, send_each
from .rounds import Rounds, progress
from .rows import CPU_OVER_BARE, OF_HELPERS, RATE
from .stage import USED, Stage, known_keys
from .table import at_least, at_most, Line


def flood(options):
    """Keys that nobody sent before, each looked up, while the cache holds the valid ones."""
    keys, setting = known_keys(), Setting(invalid=2)
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        servers = {c.name: c.start(stage) for c in (bare(setting), product(redis, setting), lua(redis, setting),
                                                    lua(redis, setting, lru=True), auth_request(redis, setting))}
        checked = [name for name in servers if name != "bare"]
        servers["HAProxy"] = stage.haproxy(keys)
        for name in checked:
            send_each(servers[name].port, keys_file, USED)
        before = {name: memory_of(servers[name]) for name in checked}
        rounds = Rounds(servers, redis, "never_seen", keys_file, options)
        notes = rounds.check(refused=True, asked=True)
        growth = {name: (memory_of(servers[name]) - before[name]) / 2**20 for name in checked}
        kept = {name: kept_share(servers[name], redis, keys[:USED]) for name in checked}
    rate = rounds.rate_to_bare()
    limit = max(rate["Lua"] * 2.2, rate["HAProxy"])
    return [("flood of never-seen keys", [
        Line(CPU_OVER_BARE, rounds.cpu_over_bare()),
        Line(OF_HELPERS, rounds.helpers_cpu()),
        at_least(RATE, rate, limit, goal="≥ 2.2 × Lua's, ≥ HAProxy's"),
        at_most("memory that the worker grew by, MiB", growth, 2.0, digits=1, goal="flat: ≤ 2"),
        at_least("valid keys that are still cached", kept, 1.0, digits=4, goal="all that were"),
    ], rounds.notes() + notes)]


def memory_of(server):
    return private_memory(server.workers() + helpers(server))


def kept_share(server, redis, keys):
    """The share of these keys that the cache answers for: Redis is emptied, and proves nothing any more."""
    redis("FLUSHALL")
    return count_accepted(server.port, keys) / len(keys)


def memory(_options):
    """How many keys a zone holds: three times as many are sent, then what it answers for by itself is counted."""
    size, keys = 4 << 20, known_keys()
    sent = keys[:3 * size // 320]
    with Stage() as stage:
        keys_file, setting = stage.file_of_keys(sent), Setting(invalid=0, zone="4m")
        bytes_per_key = {}
        for make in (product, lua):
            redis = stage.redis(sent)
            contestant = make(redis, setting)
            server = contestant.start(stage)
            send_each(server.port, keys_file, len(sent))
            held = kept_share(server, redis, sent) * len(sent)
            progress(f"{contestant.name:8} {held:,.0f} keys in a zone of {size >> 20} MiB")
            bytes_per_key[contestant.name] = size / max(held, 1)
    return [("memory", [at_most("bytes of zone per cached key", bytes_per_key, 320, digits=0)], [])]
