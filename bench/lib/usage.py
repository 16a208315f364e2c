"""The rows about usage on its way into Postgres: what apikeyd applies from the stream, beside a bare libpq client."""

import re
import statistics
import subprocess
import time

from apikeytest import places
from apikeytest.process import need
from apikeytest.usage import STREAM, Slot, add_command, row, used

from .revocation import insert
from .rounds import progress
from .stage import Stage, known_keys
from .table import at_least, Line

BATCHES = 32           # of one transaction, as many as apikeyd reads at once
LINES = 320            # of one batch: 10,240 in a transaction; nginx makes batches of at most 64 KiB
# As a server has it, not as the harness of the tests.
SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "256MB",
            "max_wal_size": "4GB", "checkpoint_timeout": "1h"}


def applied(options):
    """stream → usage_records: rows of one minute, new in the first transaction of a round, growing in the others."""
    keys = shuffled_keys()[:BATCHES * LINES]

    def transaction(turn, _):
        minute = f"2026-11-28T{turn // 60:02}:{turn % 60:02}:00Z"
        return [row(key.user, key.id, 3, minute, "/v1/chat", "gpt-4o-mini", "success", (812, 96, 0)) for key in keys]

    return compare(options, "usage: stream → usage_records", "rows", transaction, 12, 0.8)


def last_used(options):
    """stream → last_used_at of keys that record nothing else; transactions in a row have different keys."""
    keys, size = shuffled_keys(), BATCHES * LINES

    def transaction(turn, number):
        begin = number % (len(keys) // size) * size
        when = f"2026-11-28T{turn // 60:02}:{turn % 60:02}:{number:02}.123Z"
        return [used(key.id, when) for key in keys[begin:begin + size]]

    return compare(options, "last_used_at: stream → api_keys", "keys", transaction, 27, 0.9)


def shuffled_keys():
    """As nginx has them: in no order that an index would like."""
    return sorted(known_keys(), key=lambda key: key.hash)


def compare(options, title, field, transaction, transactions, goal):
    """`transaction(turn, number)`: the lines of a transaction of the bare client. apikeyd gets the same lines, and may make
    larger or smaller transactions of them."""
    rates = {"ours": [], "bare": []}
    with Stage() as stage:
        stage.use_all_cpus()
        postgres, redis = stage.postgres(**SETTINGS), stage.redis()
        insert(postgres, known_keys())
        stage.apikeyd(postgres, redis)
        slot = Slot()
        for turn in range(2 * options.rounds):
            name = ("ours", "bare")[turn % 2]
            work = [transaction(turn, number) for number in range(transactions)]
            for statement in ("VACUUM usage_records", "VACUUM api_keys", "CHECKPOINT"):
                postgres.sql(statement)
            if name == "ours":
                rate = by_apikeyd(redis, [command for lines in work for command in in_batches(lines, slot, field)])
            else:
                rate = by_bare_client(stage, postgres, field, work)
            rates[name].append(rate)
            progress(f"{name:8} {rate:10,.0f} lines/s")
    ratio = statistics.median(mine / bare for mine, bare in zip(rates["ours"], rates["bare"]))
    return [(title, [
        at_least("lines/s, bare libpq = 1", {"ours": ratio}, goal),
        Line("lines/s", {name: statistics.median(each) for name, each in rates.items()}, digits=0),
    ], [])]


def in_batches(lines, slot, field):
    """Commands that put them into the stream."""
    commands = []
    for begin in range(0, len(lines), LINES):
        batch = slot.batch()
        batch[field] = "".join(lines[begin:begin + LINES])
        commands.append(add_command(batch, STREAM))
    return commands


def by_apikeyd(redis, batches):
    """Puts all batches into the stream at once; lines/s from the end of the first transaction to that of the last one."""
    client = redis.client()
    client.pipeline([["MULTI"], *batches, ["EXEC"]])
    left, first, end = len(batches), None, time.monotonic() + 120
    while left and time.monotonic() < end:
        time.sleep(0.001)
        left = client("XLEN", STREAM)
        if first is None and left < len(batches):
            first, counted = time.monotonic(), left
    took = time.monotonic() - first
    client.close()
    if left:
        raise RuntimeError(f"apikeyd has not applied {left} batches")
    return counted * LINES / took


def by_bare_client(stage, postgres, field, transactions):
    binary = need(str(places.BUILD / "bench_raw_usage"), "bench_raw_usage", "make bench builds it")
    path = f"{stage.new_folder('raw')}/lines"
    with open(path, "w", encoding="ascii") as file:
        file.writelines("".join(lines) + "\n" for lines in transactions)
    argv = [binary, postgres.dsn, field, path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"^result (\d+) (\d+)$", done.stdout, re.M)
    if not found:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stderr}")
    return int(found[1]) / int(found[2]) * 1e6
