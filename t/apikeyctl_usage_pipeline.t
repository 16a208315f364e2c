#!/usr/bin/python3
# apikeyctl usage --pipeline says where usage is on its way, and whether any of it is stuck: stream, consumers, dead letters, slots, spool.
# Hazards: S4, S5

import os
import time

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl, decode

ZONE = "0123456789abcdef0123456789abcdef"


def ms_ago(seconds):
    return f"{int((time.time() - seconds) * 1000)}-0"


with Test() as t:
    pg, redis = t.postgres(), t.redis(prefix="other:")
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None, redis_prefix="other:")      # nobody applies what is put there

    def run(*args, stuck=False):
        """What --json prints, with its findings as {check: (level, message, advice)}."""
        status, out, err = apikeyctl("--config", daemon.config, "usage", "--pipeline", *args, "--json", status=None)
        answer = decode(out)
        t.is_((status, err, answer["success"]), (int(stuck), "", not stuck), "exit status and success fit")
        answer["findings"] = {f["check"]: (f["level"], f["message"], f["advice"]) for f in answer["findings"]}
        return answer

    def text(*args):
        status, out, err = apikeyctl("--config", daemon.config, "usage", "--pipeline", *args, status=None)
        return status, out + err

    # --- nothing yet ---
    answer = run()
    t.is_([answer[name] for name in ("verdict", "stream", "consumers", "dead", "slots", "spool")],
          ["nothing is stuck", None, [], None, [], None], "nothing was ever shipped")
    t.like(text()[1], "\nnothing is stuck\n$", "the last line says so")

    # --- the stream ---
    redis("XADD", "other:usage", ms_ago(5), "batch", f"{ZONE} 0 1")
    answer = run(stuck=True)
    t.is_(answer["findings"]["usage.group"][0], "error", "without its group nobody applies it")
    redis("XGROUP", "CREATE", "other:usage", "apikeyd", "0")
    redis("XADD", "other:usage", "*", "batch", f"{ZONE} 0 2")
    redis("XREADGROUP", "GROUP", "apikeyd", "one", "COUNT", "1", "STREAMS", "other:usage", ">")
    redis("XREADGROUP", "GROUP", "apikeyd", "two\x1b[31m", "COUNT", "1", "STREAMS", "other:usage", ">")
    answer = run()
    t.is_(answer["stream"]["length"], 2, "entries that wait for seconds are no fault")
    t.ok(5 <= answer["stream"]["oldestSeconds"] < 60, "the age of the oldest", str(answer["stream"]))
    t.is_([(c["name"], c["pending"]) for c in answer["consumers"]], [("one", 1), ("two\x1b[31m", 1)], "who has how many")
    t.ok(all(0 <= c["idleMs"] < 60000 for c in answer["consumers"]), "and when it last asked")
    t.like(text()[1], r"CONSUMER +PENDING +IDLE\none +1 +\d+ s\ntwo\?\[31m +1 ", "for people, without control bytes")
    redis("DEL", "other:usage")
    redis("XADD", "other:usage", ms_ago(90), "batch", f"{ZONE} 0 1")
    redis("XGROUP", "CREATE", "other:usage", "apikeyd", "0")
    answer = run(stuck=True)
    t.is_(answer["verdict"], "usage is stuck: see the error above", "an entry of 90 s ago is stuck")
    t.like(answer["findings"]["usage.stream"][1], r"other:usage has 1 entry, the oldest of 9\d s ago: it is not applied", "and said")
    t.like(answer["findings"]["usage.stream"][2], "is apikeyd running", "with what to do")
    status, out = text()
    t.is_(status, 1, "exit status 1 for people, too")
    t.like(out, r"error +usage.stream .*\n +-> is apikeyd running.*\n(.*\n)*usage is stuck: see the error above\n$", "the same as text")
    redis("DEL", "other:usage")

    # --- dead letters ---
    redis("XADD", "other:usage:dead", ms_ago(7200), "batch", "x", "reason", "older")
    redis("XADD", "other:usage:dead", ms_ago(3600), "batch", "y", "reason", "22003: out of\x1brange")
    answer = run()
    t.is_(answer["findings"]["usage.dead"][0], "warning", "what was refused is a warning: it holds up nothing")
    t.is_((answer["dead"]["length"], answer["dead"]["newestReason"]), (2, "22003: out of\x1brange"), "how many, and the newest reason")
    t.ok(answer["dead"]["oldest"] < answer["dead"]["newest"], "from when to when")
    t.like(text()[1], r"\nrefused last: 22003: out of\?range\nnothing is stuck\n$", "for people")
    redis("DEL", "other:usage:dead")

    # --- slots ---
    pg.sql(f"INSERT INTO usage_sources VALUES ('{ZONE}', 0, '{{[0,10)}}'), ('{ZONE}', 1, '{{[2,4),[5,6),[8,9)}}'), ('{ZONE}', 2, '{{}}')")
    answer = run()
    t.is_([(s["zone"], s["slot"], s["appliedUpTo"], s["missing"]) for s in answer["slots"]],
          [(ZONE, 1, 8, 5), (ZONE, 0, 9, 0), (ZONE, 2, -1, 0)], "applied up to, and what is missing below: 0, 1, 4, 6 and 7")
    t.like(answer["findings"]["usage.slots"][1], "^5 batches are missing", "holes are told")
    t.is_(answer["findings"]["usage.slots"][0], "note", "and are no fault: what Redis lost stays missing")
    t.like(text()[1], rf"ZONE +SLOT +APPLIED UP TO +MISSING\n{ZONE} +1 +8 +5\n", "for people")
    pg.sql("INSERT INTO usage_sources SELECT gen_random_uuid(), n, '{[0,1)}' FROM generate_series(1, 150) AS n")
    answer = run()
    t.is_((answer["slotCount"], len(answer["slots"]), answer["slots"][0]["missing"]), (153, 100, 5), "of many slots those with holes come first")

    # --- the spool ---
    spool = t.new_folder("spool")
    t.is_(run("--spool", spool)["spool"], {"files": 0, "bytes": 0, "oldest": None, "otherFiles": 0}, "an empty spool")
    for name, size, age in ((f"{ZONE}-0-17.usage", 100, 10), (f"{ZONE}-1-3.usage", 23, 20), (f"{ZONE}-1-3.usage.tmp", 1, 900),
                            ("notes", 1, 900), (f"{ZONE}-1.usage", 1, 900), (f"{ZONE.upper()}-1-3.usage", 1, 900), (f"{ZONE}-x-3.usage", 1, 900)):
        with open(f"{spool}/{name}", "wb") as file:
            file.write(b"x" * size)
        os.utime(f"{spool}/{name}", (time.time() - age,) * 2)
    answer = run("--spool", spool)
    t.is_((answer["spool"]["files"], answer["spool"]["bytes"], answer["spool"]["otherFiles"]), (2, 123, 5), "its batches and their bytes")
    t.is_(answer["findings"]["usage.spool"][0], "ok", "that are young")
    os.utime(f"{spool}/{ZONE}-0-17.usage", (time.time() - 300,) * 2)
    answer = run("--spool", spool)
    t.is_(answer["findings"]["usage.spool"][0], "warning", "a batch that lies there for minutes")
    t.like(answer["findings"]["usage.spool"][1], r"has 2 batches, the oldest of 30\d s ago \(and 5 other files\)$", "is told")
    t.like(run("--spool", f"{spool}/none", stuck=True)["findings"]["usage.spool"][1], "cannot be read: No such file", "no directory")

    # --- Postgres and Redis are away: what can be seen is shown ---
    redis("XADD", "other:usage", "*", "batch", "z")
    redis("XGROUP", "CREATE", "other:usage", "apikeyd", "0")
    pg.stop()
    answer = run(stuck=True)
    t.is_(answer["findings"]["usage.postgres"][0], "error", "without Postgres nothing is applied")
    t.is_(answer["stream"]["length"], 1, "the stream is shown all the same")
    pg.start()
    redis.stop()
    answer = run(stuck=True)
    t.is_(answer["findings"]["usage.redis"][0], "error", "without Redis nothing gets through")
    t.is_(answer["slotCount"], 153, "the slots are shown all the same")
