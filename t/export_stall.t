#!/usr/bin/python3
# A client that takes next to nothing of its export is hung up on after exports.stall, and sees that it has not got all; one that is
# slow but steady gets all. Meanwhile apikeyd's memory stays small.
# Hazards: X10

import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.unix_http import Sidecar, backends, fill_usage


def resident():
    with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, 200_000)
    daemon = t.apikeyd(pg, redis, exports__stall="1s")
    sidecar = Sidecar(daemon)
    t.ok(sidecar.get("/export/usage").whole, "an export")
    before = resident()
    clients = [sidecar.begin("/export/usage?format=csv", user="alice") for _ in range(2)]
    began = time.monotonic()
    t.ok(all(c.begun() for c in clients), "two whose clients then read nothing")
    t.weigh(resident() - before <= 2 * 1024, "1 MiB each, no more", f"{resident() - before} KiB")
    t.ok(wait_for(lambda: daemon.log().count(": stalled") == 2, 15), "both are given up")
    took = time.monotonic() - began
    t.ok(0.9 <= took <= 5, "after exports.stall", f"{took:.1f} s")
    t.ok(wait_for(lambda: not backends(pg, "state <> 'idle'"), 5), "Postgres works for neither")
    answers = [c.response() for c in clients]
    t.is_([(a.status, a.whole) for a in answers], [(200, False)] * 2, "and their clients see that something is missing")

    # A byte now and then is not enough: 64 KiB in that time are wanted.
    drip = sidecar.begin("/export/usage?format=csv")
    drip.begun()
    end = time.monotonic() + 15
    while daemon.log().count(": stalled") < 3 and time.monotonic() < end:
        drip.socket.recv(1)
        time.sleep(0.05)
    t.is_(daemon.log().count(": stalled"), 3, "byte by byte is next to nothing")

    slow = sidecar.begin("/export/usage?format=csv")
    data = b""
    began = time.monotonic()
    while not data.endswith(b"\r\n0\r\n\r\n"):
        piece = slow.socket.recv(65536)
        if not piece:
            break
        data += piece
        time.sleep(0.03)
    t.ok(data.endswith(b"\r\n0\r\n\r\n") and time.monotonic() - began > 2, "slow but steady: all of it",
         f"{len(data)} bytes in {time.monotonic() - began:.1f} s")
