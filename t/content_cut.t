#!/usr/bin/python3
# An answer of apikeyd that ends early is an error for the client, wherever it is cut, over HTTP/1.1 and HTTP/2, with and without gzip: never
# a shorter file that looks whole. What ends rightly is whole.
# Hazards: G8, G10, G11, G12

import os
import random
import subprocess

from lib.apikeytest import Test, wait_for
from lib.apikeytest.fake_sidecar import FakeSidecar, chunked, whole

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    gzip_types      text/csv application/json;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        location /plain/ { api_key_export usage; }
        location /gzip/  { api_key_export usage; gzip on; }
    }
}
"""
WAYS = [(path, http) for path in ("/plain/", "/gzip/") for http in ("--http1.1", "--http2-prior-knowledge")]
LINE = b"2026-11-28T02:05:00Z,/v1/chat/completions,17,4711,0.0123,gpt-4o-mini,success\n"

with Test() as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    chance = random.Random(seed)
    alice = t.key(user="alice")
    sidecar = FakeSidecar(t.folder)
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice]), sidecar=sidecar)

    def curl(path, http):
        port = nginx.port if http == "--http1.1" else nginx.ports["PORT_H2"]
        done = subprocess.run(["curl", "-s", "-m", "30", http, "--compressed", "-w", "%{stderr}%{http_code}", "-H", f"Authorization: Bearer {alice.key}",
                               f"http://127.0.0.1:{port}{path}?format=csv"], capture_output=True, check=False)
        return done.returncode, done.stderr.decode(), done.stdout

    rows = LINE * 20_000                   # 1.5 MB
    answer = b"".join(chunked([rows[at:at + 32768] for at in range(0, len(rows), 32768)]))
    head = answer.index(b"\r\n\r\n") + 4
    sidecar.answers = lambda asked: [answer]
    for way in WAYS:
        t.is_(curl(*way), (0, "200", rows), f"{way}: whole")

    def cut_at(places, what):
        for way in WAYS:
            wrong = []
            for place in places:
                sidecar.answers = lambda asked, place=place: [answer[:place], None]
                code, status, body = curl(*way)
                if code == 0 or status not in ("200", "000") or not rows.startswith(body):
                    wrong.append((place, code, status, len(body)))
            t.must(not wrong, f"{way}: cut {what}: an error every time", wrong)

    cut_at([chance.randrange(head + 1, len(answer) - 7) for _ in range(50)], "at 50 random bytes")
    cut_at([len(answer) - n for n in range(1, 8)], "in the last chunk")
    ends = [head + (32768 + len(b"8000\r\n\r\n")) * n for n in (1, 2, 20)]
    cut_at(ends, "between two chunks")
    cut_at([ends[1] - 2, ends[1] - 1, ends[1] + 1, ends[1] + 4], "in a chunk's frame")

    # --- before the first byte ---
    for cut in (b"", b"HTTP/1.1 200", answer[:head - 2], answer[:head - 1]):
        sidecar.answers = lambda asked, cut=cut: [cut, None]
        for way in WAYS:
            code, status, body = curl(*way)
            t.is_((code, status), (0, "503"), f"{way}: cut in the header: 503")
            t.like(body.decode(), '"code":"service_unavailable"', "with a problem document")
    for what, answers in (("no HTTP", b"+PONG\r\n"), ("no length", b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\nx"),
                          ("another coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"), ("a large header", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 9000),
                          ("a secret that is refused", whole(b"{}", "401 Unauthorized"))):
        sidecar.answers = lambda asked, answers=answers: [answers, None]
        t.is_(curl(*WAYS[0])[:2], (0, "503"), f"{what}: 503")
    for what, body in (("a bad size", b"xyz\r\nabc"), ("a size that lies", b"5\r\nabc")):
        sidecar.answers = lambda asked, body=body: [answer[:head] + body, None]
        t.isnt(curl(*WAYS[0])[0], 0, f"{what}: an error")
    sidecar.answers = lambda asked: [whole(b"0123456789")[:-3], None]
    t.isnt(curl(*WAYS[0])[0], 0, "less than Content-Length: an error")
    t.like(nginx.log(), "apikeyd refuses this nginx's secret; secret_file", "the log says what to do")

    # --- what apikeyd refuses is passed on ---
    sidecar.answers = whole(b'{"code":"too_many_exports"}', "429 Too Many Requests", "application/problem+json",
                            ("Retry-After: 7", "X-Internal: 1", "Set-Cookie: a=b", "X-Accel-Redirect: /etc", "Server: apikeyd"))
    r = nginx.get("/plain/", alice)
    t.is_((r.status, r.code, r.header("Retry-After"), r.header("X-Internal"), r.header("Set-Cookie"), r.header("Content-Disposition")),
          (429, "too_many_exports", "7", None, None, None), "429 with its Retry-After, and no other header field")
    t.allow_log(r"connect\(\) to unix:\S+ failed \(2: No such file")
    sidecar.stop()
    r = nginx.get("/plain/", alice)
    t.is_((r.status, r.code, r.all("Cache-Control")), (503, "service_unavailable", ["no-store"]), "apikeyd is down: 503")
    t.ok(wait_for(lambda: nginx.requests()[-1]["status"] == 503), "also in the access log")
    sidecar.start()
    sidecar.answers = whole(b"{}")
    t.is_(nginx.get("/plain/", alice).status, 200, "and up again")
