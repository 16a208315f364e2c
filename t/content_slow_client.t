#!/usr/bin/python3
# A client that reads slowly: nginx takes 8 MiB of the answer into a temporary file, then no more, so that apikeyd is held up and not its
# memory filled; what the client reads at last is whole. A client that leaves ends the request to apikeyd.
# Hazards: X10, X12

import os
import threading

from lib.apikeytest import Test, wait_for
from lib.apikeytest.fake_sidecar import FakeSidecar, chunked

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    server {
        listen 127.0.0.1:%PORT% sndbuf=64k;
        location / { api_key "test"; api_key_export usage; }
    }
}
"""
MIB = 1024 * 1024

with Test() as t:
    alice = t.key(user="alice")
    sidecar = FakeSidecar(t.folder)
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice]), sidecar=sidecar)
    sent, ended = [0], threading.Event()

    def much(asked):
        def pieces():
            try:
                for _ in range(64):
                    yield b"x" * MIB
                    sent[0] += 1
            finally:
                ended.set()
        return chunked(pieces())

    def temporary():
        """Bytes in the temporary files of the worker, which are unlinked."""
        folder = f"/proc/{nginx.workers()[0]}/fd"
        files = [f"{folder}/{fd}" for fd in os.listdir(folder)]
        return sum(os.stat(file).st_size for file in files if "body_temp" in os.readlink(file))

    sidecar.answers = much
    with nginx.connect() as c:
        c.send(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
        t.ok(wait_for(lambda: temporary() >= 7 * MIB), "much goes into a temporary file", temporary())
        wait_for(lambda: sent[0] > 12, 1)
        t.must(temporary() <= 8 * MIB + 65536, "no more than 8 MiB", temporary())
        t.must(sent[0] <= 12, "then apikeyd is held up", sent[0])
        before = sent[0]
        wait_for(lambda: sent[0] > before, 1)
        t.is_(sent[0], before, "and stays so")
        r = c.response()
        t.is_((r.status, r.whole, len(r.body)), (200, True, 64 * MIB), "all of it arrives")
    t.is_(temporary(), 0, "the temporary file is gone")

    ended.clear()
    base = nginx.fds()
    with nginx.connect() as c:
        c.send(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
        wait_for(lambda: temporary() >= 7 * MIB)
    t.ok(ended.wait(2), "a client that leaves in the middle: the request to apikeyd ends within a second or so")
    gate = threading.Event()
    gone = threading.Event()

    def silent(asked):
        gate.wait(20)
        yield b"HTTP/1.1 200 OK\r\n"
        for _ in range(1000):
            yield b"A: b\r\n" * 1000
        gone.set()

    sidecar.answers = silent
    with nginx.connect() as c:
        c.send(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
        wait_for(lambda: len(sidecar.requests) == 3)
    t.ok(wait_for(lambda: nginx.requests() and nginx.requests()[-1]["status"] == 499, 3), "one that leaves before the first byte: 499 at once")
    gate.set()
    t.fds_return(nginx, base)
