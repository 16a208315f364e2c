#!/usr/bin/python3
# Clients that send the body of a change slowly, or not at all, hold nothing of apikeyd: others go on, and what is sent whole is taken, also in a temporary file of nginx.
# Hazards: X13, X17

import json
import os

from lib.apikeytest import Test, request_bytes
from lib.apikeytest.management import API, Management

CLIENTS = 200                                         # more than apikeyd has connections

with Test() as t:
    m = Management(t)
    _, alice = m.key("alice")
    _, bob = m.key("bob")
    body = json.dumps({"name": "slow"}).encode()
    whole = request_bytes("POST", API, alice, {"Content-Type": "application/json"}, body)
    clients = [m.nginx.connect() for _ in range(CLIENTS)]
    for client in clients:
        client.send(whole[:-5])
    t.is_([m.ask("GET", "", bob).status for _ in range(20)], [200] * 20, f"beside {CLIENTS} that wait with their bodies others are served")
    t.is_(m.ask("POST", "", alice, {"name": "quick"}).status, 201, "the same user, too")
    t.ok(len(os.listdir(f"/proc/{m.apikeyd.process.pid}/fd")) < 60, "and apikeyd has nothing of theirs")
    for client in clients[:5]:
        client.send(whole[-5:])
    t.is_([client.response("POST").status for client in clients[:5]], [201] * 5, "what comes to its end is done")
    for client in clients:
        client.close()

    for size in (10_000, 40_000, 60_000):
        padded = b'{"name": "padded"' + b" " * size + b"}"
        t.is_(m.ask("POST", "", alice, padded).status, 201, f"{size} bytes, which nginx keeps in a file from 16,000 on")
        with m.nginx.connect() as c:
            c.send(f"POST {API} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(padded), 7_000):
                piece = padded[start:start + 7_000]
                c.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            c.send(b"0\r\n\r\n")
            t.is_(c.response("POST").status, 201, "in chunks, too")
    t.is_(m.ask("POST", "", alice, b'{"name": "n"}', {"Expect": "100-continue"}).status, 201, "with an Expect")
    with m.nginx.connect() as c:
        c.send(f"POST {API} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n")
        r = c.response("POST")
    t.is_((r.status, r.interim), (413, []), "and not asked for, where its length is said")
    t.is_(m.ask("POST", "", alice, b'{"name": "' + b"x" * 70_000 + b'"}').code, "too_large", "what is too large is refused")
