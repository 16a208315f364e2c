#!/usr/bin/python3
# A reply too many, one too few, two in the wrong order, one twice, or one that belongs to another question: the connection
# ends, nobody is taken for somebody else, no good key is called unknown, and the next connection is right.
# Hazards: R14, R15

import os
import signal

from lib.apikeytest import Test, array, bulk, drop, duplicate, inject, previous, replace, request_bytes, swap, swap_alike, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=400ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def empty(marks):
    return b"*%d\r\n" % (7 + marks) + b"$-1\r\n" * (7 + marks)


def empty_out_of_place(_lane, frame):
    """Nothing was found, at another place in line."""
    return [empty((int(frame[1:frame.index(b"\r")]) - 7 + 1) % 4)]


def record_in_place(_lane, frame):
    """Somebody's record at this very place in line."""
    marks = int(frame[1:frame.index(b"\r")]) - 7
    return [b"*%d\r\n" % (7 + marks) + forged[4:] + b"$-1\r\n" * marks]


def together(keys):
    """Their answers, asked of Redis in one batch: the worker sleeps while they arrive."""
    os.kill(worker, signal.SIGSTOP)
    wait_for(lambda: " (nginx) T " in read(f"/proc/{worker}/stat"), interval=0.0005)
    for client, key in zip(clients, keys):
        client.send(request_bytes(key=key))
    os.kill(worker, signal.SIGCONT)
    return [client.response() for client in clients]


def shown(answers):
    return [r.saw("X-User-Id") if r.status == 200 else r.status for r in answers]


def never_wrong(answers):
    return all(r.status == 503 or (r.status == 401 if key in strangers else r.status == 200 and r.saw("X-User-Id") == [key.user])
               for key, r in zip(batch, answers))


with Test() as t:
    alice, bob, carol, dora = friends = [t.key(user=name) for name in ("alice", "bob", "carol", "dora")]
    strangers = [t.key(user="nobody"), t.key(user="nobody")]
    proxy, upstream = t.redis_proxy(t.redis(keys=friends)), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    (worker,) = nginx.workers()
    clients = [nginx.connect() for _ in range(6)]
    batch = [alice, strangers[0], bob, strangers[1], carol, dora]  # one key twice would be asked for once
    whole = [["alice"], 401, ["bob"], 401, ["carol"], ["dora"]]
    t.ok(wait_for(lambda: shown(together(batch)) == whole), "in step: everybody is who he is")
    proxy.forget()
    together(batch)
    t.is_((proxy.count("HMGET"), proxy.count("GET")), (6, 1), "asked in one batch")

    forged = array(t.key(user="mallory").hash, *["mallory"] * 5, "")
    faults = {"one too many": inject(forged), "an empty one too many": inject(empty(0)), "one too few": drop(),
              "twice": duplicate(), "with the next in the wrong order": swap(), "swapped with its like": swap_alike(),
              "the one before once more": previous(), "a forged one": replace(forged),
              "another's record in its place": record_in_place, "an empty one from elsewhere": empty_out_of_place,
              "OK": replace(b"+OK\r\n"), "an epoch": inject(bulk("0" * 40 + " 1"))}
    for what, fault in faults.items():
        kept = 0
        for nth in range(1, len(batch) + 1):
            connections = proxy.kinds["lookups"]
            proxy.on("HMGET", fault, nth=nth)
            answers = together(batch)
            proxy.clear()
            if not never_wrong(answers):
                t.must(False, f"reply {nth}, {what}: nobody is taken for another", shown(answers))
            kept += shown(answers) == whole
            wait_for(lambda: nginx.get("/", alice).status == 200)
            if shown(together(batch)) != whole:
                t.ok(False, f"reply {nth}, {what}: the next connection is right", shown(together(batch)))
        t.ok(kept <= 1, f"{what}: noticed wherever it happens in the batch", f"{kept} of {len(batch)} batches were served")

    for what, fault in {"one too few": drop(), "twice": duplicate(), "another's record": inject(forged),
                        "late": swap()}.items():
        connections = proxy.kinds["lookups"]
        proxy.on("GET", fault, nth=1)
        answers = together(batch)
        proxy.clear()
        t.must(never_wrong(answers), f"the epoch {what}: nobody is taken for another", shown(answers))
        t.ok(wait_for(lambda: shown(together(batch)) == whole), "and then all is well")
        t.is_(proxy.kinds["lookups"] - connections, 1, "on a new connection")

    for client in clients:
        client.close()
    t.like(nginx.log(), r"\[error\].*answered another question than was asked; the connection is made anew", "the log raises an alarm")
    t.must({*upstream.saw("X-User-Id")} <= {"alice", "bob", "carol", "dora"}, "the upstream never saw another")
