#!/usr/bin/python3
# Thousands of connections that ask nothing, and clients that send their header byte by byte, keep nobody from being served.
# Hazards: S13

import os
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.unix_http import Sidecar

MANY = 4000


def threads():
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def resident():
    with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4 // 1024


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    sidecar = Sidecar(daemon)
    kept = sidecar.connect()
    kept.send(sidecar.request("/export/usage"))
    t.is_(kept.response().status, 200, "a connection that is kept")
    kept.send(sidecar.request("/no"))
    t.is_(kept.response().status, 404, "takes the next request")

    idle = []
    for n in range(MANY):
        idle.append(sidecar.connect())
        if n % 500 == 0:
            t.is_(sidecar.get("/export/usage").status, 200, f"beside {n} idle connections one is served")
    t.is_(sidecar.get("/export/usage").status, 200, f"beside {MANY}")
    t.ok(threads() <= 180, "so many threads, no more", threads())
    t.weigh(resident() <= 64, "64 MiB at most", f"{resident()} MiB")
    t.is_(kept.rest(), b"", "what had waited the longest has made room")
    for c in idle:
        c.close()
    t.ok(wait_for(lambda: threads() < 40), "they have ended", threads())

    # --- headers that do not end: 140 clients, more than there is room for ---
    began = time.monotonic()
    slow = [sidecar.connect() for _ in range(140)]
    for c in slow:
        c.send(b"GET /export/usage HTTP/1.1\r\nHost: x\r\n")
    t.is_(sidecar.get("/export/usage").status, 200, "beside 140 that send half a header one is served")
    last, answer = slow[-1], None
    while time.monotonic() - began < 25 and answer is None:
        try:
            last.send(b"X")
            time.sleep(0.2)
        except OSError:
            pass
        last.socket.settimeout(0.01)
        try:
            answer = last.response()
        except (TimeoutError, ConnectionError) as error:
            answer = None if isinstance(error, TimeoutError) else error
    t.is_(getattr(answer, "status", answer), 408, "one byte after the other: 10 s in all")
    took = time.monotonic() - began
    t.ok(9.5 <= took <= 15, "not sooner, not much later", f"{took:.1f} s")

    # --- what is too large, and what is no HTTP ---
    c = sidecar.connect()
    c.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n")
    t.is_(c.response().status, 431, "more than 64 KiB of header")
    for name, data, status in (("no HTTP", b"hello\r\n\r\n", 400), ("HTTP/1.0", b"GET /no HTTP/1.0\r\n\r\n", 505),
                               ("two lengths", b"POST /import/usage HTTP/1.1\r\nContent-Length: 1\r\n"
                                               b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)):
        c = sidecar.connect()
        c.send(data)
        answer = c.response()
        t.is_((answer.status, c.rest()), (status, b""), f"{name}: {status}, and the connection ends")
    answer = sidecar.get("/export/usage", method="DELETE")
    t.is_((answer.status, answer.header("Allow")), (405, "GET, HEAD"), "another method")
    t.is_(sidecar.get("/export/usage", body=b"x").status, 400, "a body where none is taken")
    answer = sidecar.get("/export/usage", method="HEAD")
    t.is_((answer.status, answer.header("Content-Type"), answer.body), (200, "application/json", b""), "HEAD")
    t.is_(sidecar.get("/export/usage?format=xml").code, "invalid_parameter", "a bad parameter")
