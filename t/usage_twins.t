#!/usr/bin/python3
# Rows that meet in one row of usage_records (twins), among others that have it for themselves: in one batch, in several of one
# transaction, with what is there already, with batches that had been applied before, over the minutes of a bucket, and spelled as
# nginx does not. Sums are exact, whichever rows apikeyd takes for twins.

import collections
import os
import random
import secrets
from decimal import Decimal, getcontext

from lib.apikeytest import Test, usage, wait_for
from lib.apikeytest.usage import Slot, dead, is_empty, row, ship

COLUMNS = "user_id, key_id, to_char(bucket, 'HH24:MI'), endpoint, model, status"
SUMS = "requests, tokens_in, tokens_out, tokens_cached, trim_scale(cost)"
PRICE, MOST = Decimal("0.0000025"), 2**63 - 1         # of a token of the model "priced"
SEED = os.environ.get("SEED") or secrets.token_hex(4)
TWICE = "cannot affect row a second time"


def random_row():
    """A row, and what it adds to which row of usage_records."""
    place = (rng.choice(["alice", "bob"]), rng.choice(keys), f"02:{rng.randrange(16):02}", rng.choice(["a", "a\tb"]),
             rng.choice(["", "priced"]), rng.choice(["success", "error"]))
    if rng.random() < 0.3:
        place = (f"alone {rng.random()}", *place[1:])
    user, key, minute, endpoint, model, status = place
    requests, tokens = rng.randrange(1000), tuple(rng.randrange(10**6) for _ in range(3))
    cost = rng.choice([None, "0", f"{rng.randrange(10**18)}.{rng.randrange(10**12):012}"])
    priced = (tokens[0] + tokens[1]) * PRICE if model else 0
    line = row(user, key, requests, f"2026-11-28T{minute}:00Z", endpoint, model, status, tokens, cost)
    return line, place, (requests, *tokens, Decimal(priced if cost is None else cost))


def random_batch():
    """A batch, whose rows `expected` has from now on."""
    lines = []
    for _ in range(rng.randrange(40)):
        line, place, sums = random_row()
        lines.append(line)
        expected[place] = tuple(map(sum, zip(expected.get(place, (0, 0, 0, 0, 0)), sums)))
    return slot.batch(*lines)


def found():
    return {tuple(each[:6]): (*map(int, each[6:10]), Decimal(each[10])) for each in pg.sql(f"SELECT {COLUMNS}, {SUMS} FROM usage_records")}


def binned(rows, minutes):
    """What `rows` come to in buckets of so many minutes."""
    sums = collections.defaultdict(lambda: (0, 0, 0, 0, 0))
    for place, values in rows.items():
        start = f"02:{int(place[2][3:]) // minutes * minutes:02}"
        sums[(*place[:2], start, *place[3:])] = tuple(map(sum, zip(sums[(*place[:2], start, *place[3:])], values)))
    return dict(sums)


def refusals():
    with open(pg.log_path, encoding="utf-8") as log:
        return log.read().count(TWICE)


def apply(*batches):
    """All in one transaction."""
    daemon.stop()
    ship(redis, *batches)
    daemon.start(wait=False)
    t.must(wait_for(lambda: is_empty(redis)), "applied", daemon.log()[-1500:])


with Test() as t:
    t.note(f"SEED={SEED}")
    rng = random.Random(SEED)
    pg, redis, slot = t.postgres(), t.redis(), Slot()
    keys, expected = [usage.new_id() for _ in range(3)], {}
    daemon = t.apikeyd(f"host={pg.folder} user=apikeyd dbname={pg.database}", redis,
                       usage__prices={"priced": {"input": "2.5", "output": "2.5"}})
    getcontext().prec = 60
    for minutes in (5, 1):
        daemon.settings["usage.bucket"] = f"{minutes}m"
        daemon.write_config()
        pg.sql("TRUNCATE usage_records")
        expected.clear()
        again = []
        for turn in ("new rows", "rows that grow", "… beside batches that were applied before"):
            batches = [random_batch() for _ in range(20)]
            mixed = batches + (again if "before" in turn else [])
            rng.shuffle(mixed)
            apply(*mixed)
            again = batches
            t.must(found() == binned(expected, minutes), f"{minutes} min, {turn}: sums are exact", len(expected))
    t.is_(refusals(), 0, "Postgres was asked once each time: apikeyd had seen which rows are twins")

    user_row = "SELECT {} FROM usage_records WHERE user_id = '{}'".format
    one = row("odd", keys[0], 1, "2026-11-28T02:05:00Z", "chat", "m", cost="0.1")
    odd = [one.replace(keys[0], keys[0].upper()), one.replace("02:05:00Z", "02:06:00+00:01"), one.replace("chat", "c\\x68at"),
           one.replace("odd", "\\o\\144d")]
    for number, each in enumerate(odd, 1):
        apply(slot.batch(one), slot.batch(each, row(f"beside {number}", keys[0])))
        t.is_(pg.sql(user_row("requests, cost", "odd")), [[str(2 * number), f"{2 * number / 10:.1f}"]], f"spelled otherwise: {each[:-1]!r}")
        t.is_(refusals(), number, "Postgres told so, and the second time all are summed")
    t.is_((dead(redis), [line for line in daemon.log().splitlines() if "trying again" in line]), ([], []), "it is no fault of anybody")

    many = [row("many", keys[0], MOST, tokens=(MOST, 1, 0)), row("many", keys[0], 2, tokens=(1, MOST - 2, 0))]
    bad = slot.batch(many[0], many[1].replace("\t2\t", f"\t{MOST + 1}\t"))
    apply(slot.batch(many[0]), bad, slot.batch(many[1]))
    t.is_(pg.sql(user_row("requests, tokens_in, tokens_out, tokens_cached", "many")), [[str(MOST), str(MOST), str(MOST - 1), "0"]],
          "sums stay at 2^63 - 1")
    t.is_([each["batch"] for each in dead(redis)], [bad["batch"]], "and a batch that is refused takes no twin of its rows with it")
