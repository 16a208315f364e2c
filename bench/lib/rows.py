"""The rows of the table about requests, each a function of the options: a list of groups, (title, lines, notes) each."""

import dataclasses

from . import instructions
from .contestants import API, Setting, auth_request, bare, lua, product
from .load import metric, send_each
from .rounds import Rounds
from .stage import USED, Stage, known_keys
from .table import at_least, at_most, Line

WITH_USAGE = "ours, usage on"

# Figures that several rows have.
RATE = "requests/s, bare = 1"
CPU_OVER_BARE = "CPU over bare, µs"
OF_HELPERS = "of it by the service behind auth_request"
INSTRUCTIONS = "instructions over bare, without the digest"


def cached(options):
    """Every key is in the cache; usage is off, and on."""
    keys, setting = known_keys(), Setting()
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        contestants = by_name(bare(setting), product(redis, setting),
                              product(redis, dataclasses.replace(setting, usage=True), WITH_USAGE), lua(redis, setting),
                              lua(redis, setting, lru=True), auth_request(redis, setting))
        servers = started(contestants, stage, keys_file) | {"HAProxy": stage.haproxy(keys)}
        rounds = Rounds(servers, redis, "at_random", keys_file, options)
        notes = rounds.notes() + rounds.check(refused=False, asked=False)
        alone = {name: contestant for name, contestant in contestants.items() if contestant.in_process()}
        counted, more_notes = instructions.per_request_of_each(stage, alone, redis, keys)
        usage_notes = usage_that_is_not_counted(servers[WITH_USAGE])
    cpu, rate = rounds.cpu_over_bare(), rounds.rate_to_bare()
    over_bare = {name: count.all - count.crypto - counted["bare"].all for name, count in counted.items()
                 if name != "bare"}
    notes += more_notes + [f"the digest takes {counted['ours'].crypto:,.0f} instructions in software: subtracted"]
    lua_cpu = with_usage(cpu)["Lua"]
    return [
        ("key in the cache, usage off", [
            at_most(CPU_OVER_BARE, without_usage(cpu), 0.6),
            Line(OF_HELPERS, rounds.helpers_cpu()),
            at_least(RATE, without_usage(rate), 0.95),
            at_most(INSTRUCTIONS, without_usage(over_bare), 700, digits=0),
        ], notes),
        ("key in the cache, usage on (of ours: Lua records none)", [
            at_most(CPU_OVER_BARE, with_usage(cpu), min(1.0, lua_cpu / 3), goal="≤ 1.00, ≤ 1/3 of Lua's"),
            Line(RATE, with_usage(rate)),
            at_most(INSTRUCTIONS, with_usage(over_bare), 1600, digits=0),
        ], usage_notes)]


def proxied(options):
    """Every key is in the cache, usage is on, the answer comes from an upstream, which is told whose key it was."""
    keys = known_keys()
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        setting = Setting(usage=True, api=stage.nginx(API, module=False, cpu=stage.load_cpu).port)
        contestants = by_name(bare(setting), product(redis, setting), lua(redis, setting),
                              lua(redis, setting, lru=True), auth_request(redis, setting))
        servers = started(contestants, stage, keys_file)
        rounds = Rounds(servers, redis, "at_random", keys_file, options)
        notes = rounds.notes() + rounds.check(refused=False, asked=False)
        notes += usage_that_is_not_counted(servers["ours"])
    cpu = rounds.cpu_to_bare()
    return [("proxied, key in the cache, usage on (of ours)", [
        at_most("CPU, bare = 1", cpu, min(1.15, cpu["Lua+LRU"]), goal="≤ 1.15, ≤ Lua+LRU's"),
        Line(CPU_OVER_BARE, rounds.cpu_over_bare()),
        Line(OF_HELPERS, rounds.helpers_cpu()),
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
        servers = {c.name: c.start(stage) for c in (bare(setting), product(redis, setting), lua(redis, setting),
                                                    auth_request(redis, setting))}
        rounds = Rounds(servers, redis, "at_random", keys_file, options)
        notes = rounds.check(refused=False, asked=True)
    cpu, rate = rounds.cpu_over_bare(), rounds.rate_to_bare()
    redis_cpu = {name: rounds.median("redis_cpu", name) for name in ("ours", "Lua", "auth_request")}
    return [("every request to Redis", [
        at_most(CPU_OVER_BARE, cpu, cpu["Lua"] / 5, goal="≤ 1/5 of Lua's"),
        Line(OF_HELPERS, rounds.helpers_cpu()),
        at_least(RATE, rate, rate["Lua"] * 1.8, goal="≥ 1.8 × Lua's"),
        at_most("Redis' CPU, µs", redis_cpu, redis_cpu["Lua"] / 2, goal="≤ 1/2 of Lua's"),
    ], rounds.notes() + notes)]
