#!/usr/bin/python3
# `keys revoke` returns when every worker has confirmed that it applied the change. A worker that is silent is waited for
# until its lease has ended; one that lives on and says nothing makes "not confirmed". Malformed confirmations, and
# those of strangers and of other changes, count for nothing.
# Hazards: C2

import threading
import time

from lib.apikeytest import Test, wait_for


def make(count):
    made = [daemon.ctl("keys", "create", "--user", "u", "--name", "k", json=True) for _ in range(count)]
    for one in made:
        t.secret(one["key"])
    return made


def revoke(key, **options):
    begun = time.monotonic()
    answer = daemon.ctl("keys", "revoke", key["id"], **options)
    return answer, time.monotonic() - begun


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    keys = make(12)

    # Nobody is registered.
    answer, _ = revoke(keys[0], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 0, 0), "no worker: in force")
    t.like(revoke(keys[1])[0], r"is refused; no nginx worker is registered \(\d+ ms\)$", "said in words")

    # Four who are well.
    workers = [t.worker(redis) for _ in range(4)]
    answer, _ = revoke(keys[2], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 4, 4), "confirmed by all four")
    t.ok(answer["milliseconds"] >= 0 and "bound" not in answer, "with the time it took")
    t.like(revoke(keys[3])[0], r"is refused by all 4 of 4 nginx workers \(\d+ ms\)$", "said in words")
    t.ok(all(worker.changes for worker in workers), "each of them had heard of it")

    # One is late: nobody is told before.
    workers[0].delay = 0.4
    answer, took = revoke(keys[4], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 4, 4), "one is late: confirmed by all")
    t.ok(took >= 0.4, "but not before it", took)
    workers[0].delay = 0

    # What others publish is nothing.
    workers[0].confirms = False

    def lie():
        for what in ("", " ", "x", f"{workers[0].name}", f"{workers[0].name} ", f"{workers[0].name} x", f"{workers[0].name} 0",
                     f" {workers[1].changes[-1][1]}", f"stranger {workers[1].changes[-1][1]}",
                     f"{workers[0].name} {workers[1].changes[-1][1] + 1}", f"{workers[0].name}  {workers[1].changes[-1][1]}",
                     f"{workers[0].name.upper()} {workers[1].changes[-1][1]}", b"\xff\0\xfe 1", "a" * 5000):
            redis("PUBLISH", "apikey:applied", what)

    seen = len(workers[1].changes)
    liar = threading.Thread(target=lambda: wait_for(lambda: len(workers[1].changes) > seen) and lie())
    liar.start()
    status, out, err = daemon.ctl("keys", "revoke", keys[5]["id"], status=None)
    liar.join()
    t.is_(status, 0, "one lives and says nothing: recorded")
    t.like(out, r"is revoked$", "without a claim")
    t.like(err, r"only 3 of 4 nginx workers have confirmed it within 1\d\d\d ms; the other may go by what it has cached for at "
           r"most valid \+ stale", "stderr says what that means")
    answer, took = revoke(keys[6], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (False, 3, 4), "and JSON says it, too")
    t.like(answer["bound"], r"^valid \+ stale", "with the bound")
    t.ok(1.7 < answer["milliseconds"] / 1000 < 2.5, "within two seconds", answer["milliseconds"])
    t.like(daemon.log(), r"1 key changed, not confirmed: 3/4 workers within 1[89]\d\d ms; 1 worker may go by what it has cached for "
           rf"at most valid \+ stale \(api_key_cache\) of the locations: {workers[0].name}", "apikeyd warns, and names it")

    # Its lease ends.
    workers[0].registers = False
    answer, took = revoke(keys[7], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 3, 3), "its lease ends: in force without it")
    answer, took = revoke(keys[8], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 3, 3), "and from then on at once")

    # One leaves in order while it is waited for; a new one comes.
    workers[1].confirms = False
    seen = len(workers[2].changes)
    leaver = threading.Thread(target=lambda: wait_for(lambda: len(workers[2].changes) > seen) and workers[1].leave())
    leaver.start()
    answer, took = revoke(keys[9], json=True)
    leaver.join()
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 2, 2), "one leaves: in force without it")
    t.worker(redis)
    answer, _ = revoke(keys[10], json=True)
    t.is_((answer["inForce"], answer["confirmed"], answer["expected"]), (True, 3, 3), "a new one counts")

    # create, rotate and sync say the same.
    created = daemon.ctl("keys", "create", "--user", "u", "--name", "k")
    t.secret(created.split()[1])
    t.like(created, r"^in force on all 3 of 3 nginx workers \(\d+ ms\)$", "create")
    rotated = daemon.ctl("keys", "rotate", keys[11]["id"], json=True)
    t.secret(rotated["key"])
    t.is_((rotated["inForce"], rotated["confirmed"], rotated["expected"]), (True, 3, 3), "rotate")
    t.like(daemon.ctl("sync"), r"^Redis has exactly the active keys, confirmed by all 3 of 3 nginx workers \(\d+ ms\)$", "sync")
