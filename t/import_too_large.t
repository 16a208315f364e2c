#!/usr/bin/python3
# An import beyond imports.max_bytes is told 413, with a document and no reset: at once where its length is said, else when it is passed, over
# HTTP/1.1 and HTTP/2. However large it is, in one row or in millions: little memory, no temporary file left, no row stored.
# Hazards: X13, G9

import json
import os
import subprocess
import time

from lib.apikeytest import Test, chunk, memory_of, open_files, places, wait_for
from lib.apikeytest.unix_http import Sidecar

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        api_key_usage off;
        client_max_body_size 0;
        location /usage         { api_key_import usage; }
        location /conversations { api_key_import conversations; }
        location /small/        { client_max_body_size 1k; api_key_import usage; }
        location /open/         { return 200 "open\\n"; }
    }
}
"""
MIB = 1024 * 1024
HEADER = b"date,endpoint,requests,tokens,cost,model,status\n"
ROW = b"2026-11-28,/%d,1,2,0.5,m,success\n"
CSV, JSON = "text/csv", "application/json"
TIMES = 8 if places.SANITIZED else 40    # some 5 µs more for each row


def rows(size):
    """A good file of about so many bytes."""
    text, n = [HEADER], 0
    length = len(HEADER)
    while length < size:
        text.append(b"".join(ROW % i for i in range(n, n + 20_000)))
        length, n = length + len(text[-1]), n + 20_000
    return b"".join(text)


def temporary():
    """The temporary files that apikeyd has open, which have no name."""
    return open_files(daemon.process.pid, scratch)


def is_413(answer, name):
    t.is_((answer.status, answer.code), (413, "too_large"), f"{name}: 413")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    scratch = t.new_folder("scratch")
    daemon = t.apikeyd(pg, redis, wait=None, imports__max_bytes="1m")
    daemon.env = {"TMPDIR": scratch}
    daemon.start()
    sidecar = Sidecar(daemon)
    key = daemon.ctl("keys", "create", "--user", "alice", "--name", "n", json=True)["key"]
    t.secret(key)
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon)
    large, good = t.new_folder("files") + "/large", rows(100_000)[:100_000].rpartition(b"\n")[0]
    with open(large, "wb") as file:
        for _ in range(40):
            file.write(rows(MIB))

    def nothing_is_left(name):
        t.ok(wait_for(lambda: not temporary()), f"{name}: no temporary file", temporary())
        t.is_(os.listdir(scratch), [], f"{name}: none with a name")
        t.is_(pg.value("SELECT count(*) FROM usage_records"), "0", f"{name}: no row")

    def curl(path, *options, file=large):
        done = subprocess.run(["curl", "-s", "-m", "60", "-o", f"{t.folder}/answer", "-w", "%{http_code};%{content_type};%{size_upload}", "-H", f"Authorization: Bearer {key}", "-H",
                               "Content-Type: text/csv", *options, f"http://127.0.0.1:{nginx.port}{path}"] + (["--data-binary", f"@{file}"] if file else []),
                              capture_output=True, text=True, check=False)
        status, kind, sent = done.stdout.split(";")
        with open(f"{t.folder}/answer", encoding="utf-8") as answer:
            text = answer.read()
        return (done.returncode, status, kind, json.loads(text).get("code") if "json" in kind else text), int(sent)

    def upload(c, stream, most):
        """HTTP/2: sends as the windows allow, until there is an answer; how much that was."""
        sent = 0
        while sent < most and stream not in c.responses:
            room = min(c.window(stream), 16_000)
            if room > 0:
                c.more(stream, b"\n" * room)
                sent += room
            else:
                c.read()
        return sent

    refused = (0, "413", "application/problem+json", "too_large")

    # --- the length is said ---
    with nginx.connect() as c:
        began = time.monotonic()
        c.send(f"POST /usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: text/csv\r\nContent-Length: {MIB + 1}\r\n\r\n")
        is_413(c.response(), "a length beyond it, before the body")
        t.ok(time.monotonic() - began < 2, "at once")
    with sidecar.connect() as c:
        c.send(sidecar.request("/import/usage?format=csv", method="POST", headers=[("Content-Length", str(MIB + 1))]))
        is_413(c.response(), "apikeyd alone")
    with sidecar.connect() as c:
        c.send(sidecar.request("/import/usage?format=csv", method="POST", headers=[("Transfer-Encoding", "chunked"), ("Apikey-Length", str(MIB + 1))]))
        is_413(c.response(), "what nginx says that the client said")
    for name, options in (("expecting 100", ()), ("expecting nothing", ("-H", "Expect:"))):
        got, sent = curl("/usage", *options)
        t.is_(got, refused, f"curl --data-binary of 40 MB, {name}: 413, and no reset")
        t.ok(sent < 30 * MIB, "most of which was not sent", sent)
        got, sent = curl("/usage", *options, "-X", "POST", "-T", large, "-H", "Transfer-Encoding: chunked", file=None)
        t.is_(got, refused, f"curl without a length, {name}: the same")

    # --- HTTP/2: what follows the answer, which is whole, is RST_STREAM(NO_ERROR) at most (RFC 9113 §8.1) ---
    for name, fields in (("said", {"content-length": str(40 * MIB)}), ("not said", {})):
        with nginx.connect2(port=nginx.ports["PORT_H2"]) as c:
            stream = c.send("POST", "/usage", key, {"content-type": CSV, **fields}, open_end=good[:10_000])
            if not fields:
                t.ok(upload(c, stream, 40 * MIB) < 4 * MIB, "HTTP/2: it is not read on")
            is_413(c.wait(stream), f"HTTP/2, a length that is {name}")
            t.ok(c.resets.get(stream, 0) == 0, "and not broken off", c.resets)
            t.is_(c.request("GET", "/open/").status, 200, "the connection serves on")
    nothing_is_left("said or not")

    # --- just beyond it, and within ---
    for where, ask in (("nginx", lambda body: nginx.get("/usage?dryRun=true", key, method="POST", headers={"Content-Type": CSV}, body=body)),
                       ("apikeyd", lambda body: sidecar.post("/import/usage?format=csv&dryRun=true", body))):
        body = rows(MIB)[:MIB].rpartition(b"\n")[0]
        body += b"\n" * (MIB - len(body))
        t.is_((ask(body).status, len(body)), (200, MIB), f"{where}: as many bytes as may be")
        is_413(ask(body + b"\n"), f"{where}: one more")
    chunks = lambda data: b"".join(chunk(data[at:at + 60_000]) for at in range(0, len(data), 60_000)) + chunk(b"")
    for where, port, path in (("nginx", nginx.connect, "/usage?dryRun=true"), ("apikeyd", sidecar.connect, "/import/usage?format=csv&dryRun=true")):
        for more, status in ((b"", 200), (b"\n", 413)):
            with port() as c:
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\nApikey-User: YWxpY2U\r\n\r\n"
                c.send(head.encode() + chunks(body + more))
                t.is_(c.response().status, status, f"{where}: in chunks, {len(body + more)} bytes: {status}")
    nothing_is_left("just beyond it")

    # --- nginx's own bound ---
    t.is_(curl("/small/")[0][:2], (0, "413"), "client_max_body_size: 413, too")
    t.is_(curl("/usage?dryRun=true", file=None, *("-X", "POST", "--data-binary", good.decode()))[0], (0, "200", "application/json", None), "the next import is served")

    # --- much is allowed: one row of 200 MB, tens of millions of rows ---
    daemon.settings["imports.max_bytes"] = "1g"
    daemon.write_config()
    daemon.stop()
    daemon.start()

    def feed(text, times, name, status, code, path="/import/usage?format=csv", begin=b"", end=b""):
        """`text` again and again; what is in temporary files before the end."""
        c = sidecar.connect(timeout=60)
        c.send(sidecar.request(path, method="POST", headers=[("Transfer-Encoding", "chunked")]))
        piece = chunk(text)
        try:
            if begin:
                c.send(chunk(begin))
            for _ in range(times):
                c.send(piece)
            if end:
                c.send(chunk(end))
            held = temporary()
            c.send(chunk(b""))
        except (BrokenPipeError, ConnectionResetError):
            t.ok(False, f"{name}: no reset")
        answer = c.response()
        t.is_((answer.status, answer.code), (status, code), name)
        t.weigh((most := memory_of(daemon.process.pid)) <= 64 * 1024, f"{name}: 64 MiB at most", f"{most} KiB")
        nothing_is_left(name)
        return held

    feed(b"x" * MIB, 200, "a field of 200 MB", 400, "malformed_file", begin=HEADER)
    feed(b"x" * MIB, 200, "a message of 200 MB", 422, "invalid_rows", "/import/conversations?format=json",
         b'{"data":[{"id":"1","title":"","createdAt":"2026-11-28","updatedAt":"2026-11-28","messages":[{"role":"user","createdAt":"2026-11-28","content":"', b'"}]}]}')
    feed(b"a\n" * (MIB // 2), TIMES, f"{TIMES // 2} million tiny rows", 422, "invalid_rows", begin=HEADER)
    feed(b"\n" * MIB, TIMES, f"{TIMES} million empty ones", 200, None, begin=HEADER)
    feed(b"{}," * (MIB // 3), TIMES, f"{TIMES // 3} million empty objects", 422, "invalid_rows", "/import/usage?format=json", b'{"data":[', b"{}]}")
    held = feed(rows(MIB)[len(HEADER):], 70, "100 MB of rows, the last of which is bad", 422, "invalid_rows", begin=HEADER, end=b"bad\n")
    t.is_(len(held), 1, "while they came, they were in a temporary file")
