"""The rows of the table about requests, each a function of the options: a list of groups, (title, lines, notes) each."""

import dataclasses

from . import instructions
from .contestants import API, Setting, bare, lua, product
from .load import count_accepted, metric, private_memory, send_each
from .rounds import Rounds, progress
from .stage import USED, Stage, known_keys
from .table import at_least, at_most, Line

LRU_ENTRIES = 20_000
WITH_USAGE = "ours, usage on"


def cached(options):
    """Every key is in the cache; usage is off, and on."""
    keys, setting = known_keys(), Setting()
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        contestants = by_name(bare(setting), product(redis, setting),
                              product(redis, dataclasses.replace(setting, usage=True), WITH_USAGE), lua(redis, setting),
                              lua(redis, setting, lru=LRU_ENTRIES))
        servers = started(contestants, stage, keys_file)
        rounds = Rounds(servers, redis, "at_random", keys_file, options)
        notes = rounds.notes() + rounds.check(refused=False, asked=False)
        counted, more_notes = instructions.per_request_of_each(stage, contestants, redis, keys)
        usage_notes = usage_that_is_not_counted(servers[WITH_USAGE])
    cpu, rate = rounds.cpu_over_bare(), rounds.rate_to_bare()
    over_bare = {name: count.all - count.crypto - counted["bare"].all for name, count in counted.items()
                 if name != "bare"}
    notes += more_notes + [f"the digest takes {counted['ours'].crypto:,.0f} instructions in software: subtracted"]
    lua_cpu = with_usage(cpu)["Lua"]
    return [
        ("key in the cache, usage off", [
            at_most("CPU over bare, µs", without_usage(cpu), 0.6),
            at_least("requests/s, bare = 1", without_usage(rate), 0.95),
            at_most("instructions over bare, without the digest", without_usage(over_bare), 700, digits=0),
        ], notes),
        ("key in the cache, usage on (of ours: Lua records none)", [
            at_most("CPU over bare, µs", with_usage(cpu), min(1.0, lua_cpu / 3), text="≤ 1.00, ≤ 1/3 of Lua's"),
            Line("requests/s, bare = 1", with_usage(rate)),
            at_most("instructions over bare, without the digest", with_usage(over_bare), 1600, digits=0),
        ], usage_notes)]


def proxied(options):
    """Every key is in the cache, usage is on, the answer comes from an upstream, which is told whose key it was."""
    keys = known_keys()
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        setting = Setting(usage=True, api=stage.nginx(API, module=False, cpu=stage.load_cpu).port)
        contestants = by_name(bare(setting), product(redis, setting), lua(redis, setting),
                              lua(redis, setting, lru=LRU_ENTRIES))
        servers = started(contestants, stage, keys_file)
        rounds = Rounds(servers, redis, "at_random", keys_file, options)
        notes = rounds.notes() + rounds.check(refused=False, asked=False)
        notes += usage_that_is_not_counted(servers["ours"])
    cpu = rounds.cpu_to_bare()
    return [("proxied, key in the cache, usage on (of ours)", [
        at_most("CPU, bare = 1", cpu, min(1.15, cpu["Lua+LRU"]), text="≤ 1.15, ≤ Lua+LRU's"),
        Line("CPU over bare, µs", rounds.cpu_over_bare()),
    ], notes)]


def by_name(*contestants):
    return {contestant.name: contestant for contestant in contestants}


def started(contestants, stage, keys_file):
    """An nginx for each of them, by name, whose caches know the keys that are sent."""
    servers = {name: contestant.start(stage) for name, contestant in contestants.items()}
    for server in servers.values():
        send_each(server.port, keys_file, USED)
    return servers


def without_usage(values):
    return {name: value for name, value in values.items() if name != WITH_USAGE}


def with_usage(values):
    return without_usage(values) | {"ours": values[WITH_USAGE]}


def usage_that_is_not_counted(server):
    """A note where usage found no room: then less was done than a good zone would have to."""
    lost = metric(server, "nginx_api_key_usage_lost_total")
    return [f"NOT WHAT IS MEANT: the usage of {lost:,} requests found no room"] if lost else []


def every_request_to_redis(options):
    """Nothing is cached."""
    keys, setting = known_keys(), Setting(valid=0, invalid=0)
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        servers = {c.name: c.start(stage) for c in (bare(setting), product(redis, setting), lua(redis, setting))}
        rounds = Rounds(servers, redis, "at_random", keys_file, options)
        notes = rounds.check(refused=False, asked=True)
    cpu, rate = rounds.cpu_over_bare(), rounds.rate_to_bare()
    redis_cpu = {name: rounds.median("redis_cpu", name) for name in ("ours", "Lua")}
    return [("every request to Redis", [
        at_most("CPU over bare, µs", cpu, cpu["Lua"] / 5, text="≤ 1/5 of Lua's"),
        at_least("requests/s, bare = 1", rate, rate["Lua"] * 1.8, text="≥ 1.8 × Lua's"),
        at_most("Redis' CPU, µs", redis_cpu, redis_cpu["Lua"] / 2, text="≤ 1/2 of Lua's"),
    ], rounds.notes() + notes)]


def flood(options):
    """Keys that nobody sent before, each looked up, while the cache holds the valid ones."""
    keys, setting = known_keys(), Setting(invalid=2)
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        servers = {c.name: c.start(stage) for c in (bare(setting), product(redis, setting), lua(redis, setting),
                                                    lua(redis, setting, lru=LRU_ENTRIES))}
        checked = [name for name in servers if name != "bare"]
        servers["HAProxy"] = stage.haproxy(keys)
        for name in checked:
            send_each(servers[name].port, keys_file, USED)
        memory = {name: private_memory(servers[name].workers()) for name in checked}
        rounds = Rounds(servers, redis, "never_seen", keys_file, options)
        notes = rounds.check(refused=True, asked=True)
        growth = {name: (private_memory(servers[name].workers()) - memory[name]) / 2**20 for name in checked}
        kept = {name: kept_share(servers[name], redis, keys[:USED]) for name in checked}
    rate = rounds.rate_to_bare()
    limit = max(rate["Lua"] * 2.2, rate["HAProxy"])
    return [("flood of never-seen keys", [
        Line("CPU over bare, µs", rounds.cpu_over_bare()),
        at_least("requests/s, bare = 1", rate, limit, text="≥ 2.2 × Lua's, ≥ HAProxy's"),
        at_most("memory that the worker grew by, MiB", growth, 2.0, digits=1, text="flat: ≤ 2"),
        at_least("valid keys that are still cached", kept, 1.0, digits=4, text="all that were"),
    ], rounds.notes() + notes)]


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
