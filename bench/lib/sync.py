"""How fast apikeyd has all keys in Redis again after a FLUSHALL, beside a bare client that copies them."""

import contextlib
import hashlib
import re
import statistics
import subprocess
import time

from apikeytest import places
from apikeytest.process import need

from .load import peak_memory
from .rounds import progress
from .stage import Stage
from .table import at_least, Line
from .usage import SETTINGS

KEYS = 1_000_000
GOAL = 100_000                   # keys/s
ROOM = {"shared_buffers": "1GB"}  # for the table and its index
OTHERS = ("apikey:epoch", "apikey:leader", "apikey:usage", "apikey:workers")
LAST = hashlib.sha256(str(KEYS).encode()).hexdigest()

# In no order that an index would like; without triggers, which would only tell of each.
INSERT = f"""SET session_replication_role = replica; INSERT INTO api_keys (user_id, name, key_hash, prefix, scopes)
    SELECT 'user-' || n, 'key ' || n, encode(sha256(n::text::bytea), 'hex'), 'ia_' || lpad(n::text, 8, '0'),
           '{{usage:read,usage:write}}' FROM generate_series(1, {KEYS}) n"""


def sync(options):
    """Groups as the rows of rows.py."""
    rates, read_rates = {"ours": [], "bare": []}, []
    with Stage() as stage:
        stage.use_all_cpus()
        postgres, redis = stage.postgres(**SETTINGS | ROOM), stage.redis()
        with contextlib.closing(postgres.connect()) as connection:
            for statement in (INSERT, "VACUUM ANALYZE api_keys", "CHECKPOINT"):
                connection.cursor().execute(statement)
        apikeyd = stage.apikeyd(postgres, redis)
        for _ in range(options.rounds):
            rates["ours"].append(after_flush(redis))
            rates["bare"].append(by_bare_client(stage, postgres))
            progress("  ".join(f"{name} {each[-1]:,.0f} keys/s" for name, each in rates.items()))
        memory = peak_memory(apikeyd.process.pid) / 2**20
    ratio = statistics.median(mine / bare for mine, bare in zip(rates["ours"], rates["bare"]))
    return [(f"key sync after FLUSHALL, {KEYS:,} keys", [
        at_least("keys/s", {name: statistics.median(each) for name, each in rates.items()}, GOAL, digits=0),
        Line("keys/s, bare client = 1", {"ours": ratio}),
        Line("apikeyd's memory at most, MiB", {"ours": memory}, digits=1),
    ], [])]


def after_flush(redis):
    """keys/s from the moment when Redis is empty until it is trusted again."""
    redis("FLUSHALL")
    began = time.monotonic()
    while not redis.epoch():
        if time.monotonic() > began + 300:
            raise RuntimeError("apikeyd completes no pass after a FLUSHALL")
        time.sleep(0.001)
    rate = KEYS / (time.monotonic() - began)
    expect_all(redis)
    return rate


def by_bare_client(stage, postgres):
    """The same keys, into a Redis of its own."""
    binary, redis = need(str(places.BUILD / "bench_raw_sync"), "bench_raw_sync", "make bench builds it"), stage.redis()
    argv = [binary, postgres.dsn, redis.socket_path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"^result (\d+) (\d+)$", done.stdout, re.M)
    if not found:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stderr}")
    expect_all(redis)
    redis.kill()
    return KEYS / int(found[2]) * 1e6


def expect_all(redis):
    """Every key is there: they are counted, and one is looked at."""
    client = redis.client()
    others, size = client.pipeline([["MULTI"], ["EXISTS", *OTHERS], ["DBSIZE"], ["EXEC"]])[-1]
    user = client("HGET", f"apikey:k:{LAST}", "user")
    client.close()
    if size - others != KEYS or user != f"user-{KEYS}":
        raise RuntimeError(f"Redis has {size - others:,} keys instead of {KEYS:,}, or the last one is {user}'s")
