"""How long an answer takes at a moderate rate, where nobody is the limit."""

import collections
import dataclasses
import re
import statistics
import subprocess

from apikeytest import places
from apikeytest.process import need

from .contestants import Setting, auth_request, bare, lua, product
from .load import CONNECTIONS
from .rounds import progress
from .rows import by_name, started
from .stage import USED, Stage, known_keys
from .table import at_most, Line

RATE = 4000                      # requests/s
GOAL = 15                        # µs that the median may be above bare's

Latency = collections.namedtuple("Latency", "p50 p99 max late")    # µs; late: the generator's own share of p50


def latency(options):
    """Every key is in the cache, requests are due at fixed times."""
    keys, setting = known_keys(), Setting()
    with Stage() as stage:
        redis, keys_file = stage.redis(keys), stage.file_of_keys(keys[:USED])
        contestants = by_name(bare(setting), product(redis, dataclasses.replace(setting, usage=True)), lua(redis, setting),
                              lua(redis, setting, lru=True), auth_request(redis, setting))
        servers = started(contestants, stage, keys_file) | {"HAProxy": stage.haproxy(keys)}
        samples = {name: [] for name in servers}
        for turn in range(options.rounds):
            for name, server in servers.items():
                samples[name].append(measure(server.port, keys_file, options.seconds, options.seed + turn))
                redis("XTRIM", "apikey:usage", "MAXLEN", 0)       # nobody reads it here
                progress(f"{name:15} " + "  ".join(f"{what} {value:7.1f}" for what, value in samples[name][-1]._asdict().items()))
    over_bare = {name: statistics.median(mine.p50 - his.p50 for mine, his in zip(each, samples["bare"]))
                 for name, each in samples.items() if name != "bare"}
    return [(f"latency at {RATE:,} requests/s, key in the cache, usage on (of ours)", [
        at_most("p50 over bare, µs", over_bare, GOAL, digits=1),
        *(Line(f"{field}, µs", medians(samples, field), digits=1) for field in ("p50", "p99")),
    ], [f"half of bare's requests left the load generator {medians(samples, 'late')['bare']:.1f} µs or more behind their time"])]


def medians(samples, field):
    return {name: statistics.median(getattr(sample, field) for sample in each) for name, each in samples.items()}


def measure(port, keys_file, seconds, seed):
    """An answer that is not 200, or one that is missing, ends the bench."""
    binary = need(str(places.BUILD / "bench_constant_rate"), "bench_constant_rate", "make bench builds it")
    argv = ["setpriv", "--pdeathsig", "KILL", binary, *map(str, (port, keys_file, RATE, seconds, CONNECTIONS, seed))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = re.search(r"^result (\d+) (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.M)
    if not found:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stderr}")
    return Latency(*(int(nanoseconds) / 1e3 for nanoseconds in found.groups()[1:]))
