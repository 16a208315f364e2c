#!/usr/bin/python3
# Many clients that change keys one after the other, each as soon as the change before is in force: none of them is
# forgotten for a while, and apikeyd's log has one line a second with the sums. So it has for plain SQL that nobody waits
# for, and for 10,000 keys in one statement.
# Hazards: C16, X19

import re
import statistics
import threading
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.receipts import ReceiptClient

CLIENTS, ROUNDS, KEYS = 3, 300, 10_000


def one_after_the_other(number):
    client = ReceiptClient(pg)
    for row in range(ROUNDS):
        took.append(client.change(f"UPDATE api_keys SET is_active = false WHERE user_id = 'u{number * ROUNDS + row}'"))


def changed(log):
    """How many keys the log says were changed, and in how many lines."""
    counts = [int(count) for count in re.findall(r"(\d+) keys? changed(?: in \d+ batches)?, in force: 4/4 workers", log)]
    return sum(counts), len(counts)


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql(f"INSERT INTO api_keys (user_id, name, key_hash, prefix) SELECT 'u' || n, 'k', "
           f"encode(sha256(n::text::bytea), 'hex'), 'ia_{'x' * 9}' FROM generate_series(0, {KEYS - 1}) n")
    workers = [t.worker(redis) for _ in range(4)]
    daemon = t.apikeyd(pg, redis)
    t.ok(wait_for(lambda: "any key may have changed, in force: 4/4" in daemon.log()), "the rebuild is in force")

    # One client alone: nothing else happens that could wake apikeyd up.
    took, begun = [], time.monotonic()
    one_after_the_other(0)
    slow = sum(seconds > 0.5 for seconds, _ in took)
    t.ok(slow <= 1, "none waits for something else to happen", f"{slow} of {len(took)} over 0.5 s")
    threads = [threading.Thread(target=one_after_the_other, args=(number,)) for number in range(1, CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.is_({figures for _, figures in took}, {"4/4"}, "each change is confirmed by all")
    quantiles = statistics.quantiles([seconds * 1000 for seconds, _ in took], n=100)
    t.note(f"commit to done: p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms, 1 client, then {CLIENTS - 1}")
    t.ok(wait_for(lambda: changed(daemon.log())[0] >= CLIENTS * ROUNDS, 3), "the log accounts for all of them")
    t.is_(changed(daemon.log())[0], CLIENTS * ROUNDS, "once")
    lines = changed(daemon.log())[1]
    t.ok(lines <= time.monotonic() - begun + 2, "with one line a second", lines)

    # Nobody waits: it is logged all the same.
    pg.sql(f"UPDATE api_keys SET is_active = false WHERE user_id = 'u{CLIENTS * ROUNDS}'")
    t.ok(wait_for(lambda: changed(daemon.log())[0] == CLIENTS * ROUNDS + 1, 3), "plain SQL is logged with its figures")

    # One statement, all other keys.
    before = len(workers[0].changes)
    seconds, figures = ReceiptClient(pg).change("UPDATE api_keys SET scopes = '{a}' WHERE is_active")
    rest = KEYS - CLIENTS * ROUNDS - 1
    t.is_(figures, "4/4", f"{rest} keys in one statement: in force")
    t.note(f"{rest} keys in one statement: {seconds * 1000:.0f} ms")
    heard = {worker.name: len({change[0] for change in worker.changes[before:]}) for worker in workers}
    t.is_(set(heard.values()), {rest}, "when every worker had heard of each", heard)
    t.ok(wait_for(lambda: changed(daemon.log())[0] == KEYS, 3), "logged as well", changed(daemon.log()))
