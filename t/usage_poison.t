#!/usr/bin/python3
# A batch that Postgres refuses for its content, or that is none, goes to the dead stream with the reason, by itself: what came
# with it in the same read is applied, and what comes after it too. So does one that is too large to be read.
# Hazards: S5, S6, D12, D13

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import MINUTE, Slot, is_empty, requests, row, ship

BIGGEST = 2**63 - 1


def changed(batch, changes):
    return {name: value for name, value in (batch | changes).items() if value is not None}


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.new_id()
    good = row("alice", key)
    columns = good.rstrip("\n").split("\t")

    def line(**others):
        names = ["user", "key", "minute", "endpoint", "model", "status", "requests", "tokens_in", "tokens_out", "cached", "cost"]
        return "\t".join(others.get(name, text) for name, text in zip(names, columns)) + "\n"

    POISON = {
        "no id": dict(batch="1 2 3"), "another version's id": dict(batch=f"2 {slot.zone} 0 7"), "no field batch": dict(batch=None),
        "no rows": dict(rows=None), "no keys": dict(keys=None), "no time": dict(sealed="soon"),
        "the last number": dict(batch=f"{slot.zone} 0 {BIGGEST}"), "cut off": dict(rows=good[:-9]), "no line end": dict(rows=good[:-1]),
        "a column missing": dict(rows="\t".join(columns[:-1]) + "\n"), "one too many": dict(rows="\t".join(columns) + "\t1\n"),
        "0xFF in a label": dict(rows=line(endpoint="\xff").encode("latin-1")), "NUL": dict(rows=line(endpoint="a\0b")),
        "an escaped NUL": dict(rows=line(endpoint="a\\000b")), "a raw CR": dict(rows=line(endpoint="a\rb")),
        "the end of COPY": dict(rows="\\.\n"), "… in a line": dict(rows=line(endpoint="a\\.")), "… behind a line": dict(rows=good + "\\.\n"),
        "an escaped line end": dict(rows=good[:-1] + "\\\n"), "negative": dict(rows=line(requests="-1")),
        "no number": dict(rows=line(tokens_in="many")), "2^63": dict(rows=line(tokens_out=str(BIGGEST + 1))),
        "negative cost": dict(rows=line(cost="-0.1")), "NaN": dict(rows=line(cost="NaN")), "Infinity": dict(rows=line(cost="Infinity")),
        "too dear": dict(rows=line(cost="1e40")), "no uuid": dict(rows=line(key="key-1")), "no user": dict(rows=line(user="\\N")),
        "another status": dict(rows=line(status="fine")), "no minute": dict(rows=line(minute="yesterday week")),
        "infinite": dict(rows=line(minute="infinity")), "a year too far": dict(rows=line(minute="300000-01-01T00:00:00Z")),
        "keys: no uuid": dict(keys="key-1\t2026-11-28T02:05:00Z\n"), "keys: no time": dict(keys=f"{key}\tnever\n"),
        "an index row too large": dict(rows="".join(line(user=usage.secrets.token_hex(6000)) for _ in range(2))),
        "a second line": dict(rows=good + line(requests="-1")),
    }
    batches, expected = [], 0
    for fields in POISON.values():
        batches += [slot.batch(good), changed(slot.batch(good), fields)]
        expected += 1
    batches.append(slot.batch(row("carol", key, BIGGEST), row("carol", key, BIGGEST), row("carol", key, 0)))
    batches.append(slot.batch(line(minute="9999-12-31T23:59:00Z", user="dave", endpoint="a\\\\.b\\tc", status="error")))
    ship(redis, *batches)
    daemon = t.apikeyd(pg, redis, wait=False)
    t.ok(wait_for(lambda: is_empty(redis), 40), "the stream is worked off", redis("XLEN", usage.STREAM), daemon.log()[-2000:])
    t.is_(requests(pg, "user_id = 'alice'"), expected, "every good batch counts, and no row of a bad one")
    t.is_(requests(pg, "user_id = 'carol'"), BIGGEST, "sums stay at 2^63 - 1")
    t.is_(pg.sql("SELECT bucket, endpoint FROM usage_records WHERE user_id = 'dave'"), [["9999-12-31 23:59:00+00", "a\\.b\tc"]],
          "odd values that are good")
    buried = usage.dead(redis)
    names = [name for name, fields in POISON.items()
             if not any(all(entry.get(k) == (v.decode("latin-1") if isinstance(v, bytes) else v) for k, v in fields.items())
                        for entry in buried)]
    t.is_(names, [], "each bad batch is in the dead stream as it was")
    t.is_(len(buried), len(POISON), "and nothing else")
    t.is_([entry for entry in buried if not entry.get("reason")], [], "with a reason")
    for entry in buried:
        t.note(entry["reason"])

    # --- too large to be read ---
    ship(redis, slot.batch(good), slot.batch(good * (10 * 2**20 // len(good))), slot.batch(good))
    t.ok(wait_for(lambda: is_empty(redis), 20), "10 MB in one entry", daemon.log()[-2000:])
    t.is_(requests(pg, "user_id = 'alice'"), expected + 2, "its neighbours count")
    t.like(usage.dead(redis)[-1]["reason"], "too large: 10[0-9]{6} bytes", "and its size is told")
    bad = line(requests="-1") * 2500
    ship(redis, slot.batch(bad), slot.batch(bad[:-1]))
    t.ok(wait_for(lambda: is_empty(redis), 20), "larger than nginx makes them", daemon.log()[-2000:])
    t.is_([(set(entry), int(entry["bytes"]) >= len(bad) - 1) for entry in usage.dead(redis)[-2:]], [({"reason", "entry", "bytes"}, True)] * 2,
          "only its reason and size are kept")

    # --- the dead stream is full ---
    client = redis.client()
    client.pipeline([["XADD", usage.DEAD, "*", "reason", "filler"] for _ in range(1000)])
    oldest = redis("XRANGE", usage.DEAD, "-", "+", "COUNT", 1)
    length = redis("XLEN", usage.DEAD)
    ship(redis, slot.batch(line(requests="-1")), slot.batch(good))
    t.ok(wait_for(lambda: is_empty(redis), 10), "a full dead stream holds up nothing")
    t.is_(requests(pg, "user_id = 'alice'"), expected + 3, "what is good counts")
    t.is_((redis("XLEN", usage.DEAD), redis("XRANGE", usage.DEAD, "-", "+", "COUNT", 1)), (length, oldest), "the oldest are kept")
    t.like(daemon.log(), "dropped, since apikey:usage:dead is full: Postgres: .*usage_|dropped, since .* is full: Postgres", "and it is logged")
    t.ok(daemon.process.alive(), "apikeyd is well")
