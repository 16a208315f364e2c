#!/usr/bin/python3
# What nginx asks apikeyd for exports and imports: only what it has checked, in its own words, and nothing of the client's header; bodies
# of imports arrive whole however they are sent; connections are used again for exports alone.
# Hazards: V2, V5, V10, V13, V14, V15, V16, V17

import subprocess

from lib.apikeytest import Test
from lib.apikeytest.fake_sidecar import FakeSidecar, chunked, whole

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR% secret_file=%DIR%/../secret;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        client_max_body_size 0;
        location /api/export/usage          { api_key_export usage; }
        location /api/export/conversations  { api_key_export conversations; }
        location /api/import/usage          { api_key_import usage; }
        location = /api/import/conversations { api_key_import conversations; }
        location /arg/ { api_key_source arg:k bearer; api_key_export usage; }
    }
}
"""
CSV = ("Content-Type", "text/csv; charset=UTF-8")
JSON = ("Content-Type", "application/json")

with Test() as t:
    alice = t.key(user="alice o'b;--")
    with open(f"{t.folder}/secret", "w", encoding="ascii") as file:
        file.write("a secret of nginx\n")
    t.secret("a secret of nginx")
    sidecar = FakeSidecar(t.folder)
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice]), sidecar=sidecar)

    # --- what is asked ---
    for path, wanted, parameters, name in (
            ("/api/export/usage", "/export/usage", {}, "usage-all-"),
            ("/api/export/usage?format=csv&startDate=2025-01-01&endDate=2025-02-05", "/export/usage",
             {"format": "csv", "startDate": "2025-01-01", "endDate": "2025-02-05"}, "usage-2025-01-01-2025-02-05.csv"),
            ("/api/export/usage?format=json&startDate=2025-01-01T10:00:00%2B02:00&endDate=2025-01-02T00:00:01Z", "/export/usage",
             {"format": "json", "startDate": "2025-01-01T10:00:00+02:00", "endDate": "2025-01-02T00:00:01Z"},
             "usage-20250101T080000Z-20250102T000001Z.json"),
            ("/api/export/usage?endpoint=%2Fa%20b%26c%3D%22&model=&status=error&keyId=00000000-0000-4000-8000-00000000000a", "/export/usage",
             {"endpoint": "/a b&c=\"", "model": "", "status": "error", "keyId": "00000000-0000-4000-8000-00000000000a"}, "usage-all-"),
            ("/api/export/usage?model=%27%20OR%201%3D1%20--%0d%0aX-Evil:%201", "/export/usage", {"model": "' OR 1=1 --\r\nX-Evil: 1"}, "usage-all-"),
            ("/api/export/usage/summary?groupBy=month&timeZone=Europe/Paris", "/export/usage/summary",
             {"groupBy": "month", "timeZone": "Europe/Paris"}, None),
            ("/api/export/conversations?conversationId=..%2F..%2Fetc%2Fpasswd", "/export/conversations",
             {"conversationId": "../../etc/passwd"}, "conversation.json"),
            ("/api/export/conversations?startDate=2025-01-01", "/export/conversations", {"startDate": "2025-01-01"}, "conversations-2025-01-01-"),
            (f"/arg/?k={alice.key}&format=csv", "/export/usage", {"format": "csv"}, "usage-all-")):
        evil = {"X-User-Id": "bob", "Apikey-User": "Ym9i", "Apikey-Secret": "x", "Cookie": "a=b", "Accept": "x/y"}
        r = nginx.get(path, alice, headers=evil)
        asked = sidecar.requests[-1]
        shown = path.replace(alice.key, "KEY")
        t.is_((r.status, asked.method, asked.path, asked.parameters), (200, "GET", wanted, parameters), f"{shown}: asked as checked")
        t.is_((asked.text("Apikey-User"), asked.text("Apikey-Key"), asked.text("Apikey-Secret")),
              (alice.user, alice.id, "a secret of nginx"), "in whose name, with which key")
        t.is_(sorted(field for field, _ in asked.fields), ["Apikey-Key", "Apikey-Secret", "Apikey-User", "Host"], "and nothing of the client's header")
        t.is_((r.all("Cache-Control"), r.all("Vary")), (["no-store"], ["Authorization"]), "nobody may keep it")
        if name is None:
            t.is_(r.header("Content-Disposition"), None, "no file")
        else:
            t.like(r.header("Content-Disposition"), f'^attachment; filename="{name}[-0-9TZ.a-z]*"$', "the name of the file")
    t.is_(nginx.get("/api/export/usage", alice, method="HEAD").status, 200, "HEAD")
    t.is_(sidecar.requests[-1].method, "HEAD", "is asked as HEAD")

    # --- connections are used again ---
    before = sidecar.connections
    sidecar.answers = lambda asked: chunked([b"date\n", b"x" * 70000])
    for _ in range(5):
        r = nginx.get("/api/export/usage?format=csv", alice)
        t.is_((r.whole, len(r.body), r.header("Content-Type")), (True, 70005, "text/csv; charset=utf-8"), "an answer in chunks")
    t.ok(sidecar.connections <= before + 1, "over one connection", sidecar.connections - before)
    sidecar.answers = lambda asked: (piece for byte in b"".join(chunked([b"ab", b"c" * 300])) for piece in (bytes([byte]),))
    t.is_(nginx.get("/api/export/usage?format=csv", alice).body, b"ab" + b"c" * 300, "an answer that comes byte by byte")
    sidecar.answers = whole(b"{}")
    sidecar.stop()
    sidecar.start()
    t.is_(nginx.get("/api/export/usage", alice).status, 200, "a kept connection that is closed is not used")

    # --- bodies of imports ---
    for size in (0, 10, 15000, 300000):
        body = f"{t.folder}/body"
        with open(body, "wb") as file:
            file.write(b"q" * size)
        for how in ([], ["--http2-prior-knowledge"], ["-H", "Transfer-Encoding: chunked"],
                    ["--http2-prior-knowledge", "-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            port = nginx.ports["PORT_H2"] if "--http2-prior-knowledge" in how else nginx.port
            done = subprocess.run(["curl", "-sS", "-m", "20", "-w", "%{http_code}", "--data-binary", f"@{body}", *how, "-H", ": ".join(CSV), "-H",
                                   f"Authorization: Bearer {alice.key}", f"http://127.0.0.1:{port}/api/import/usage?dryRun=true"],
                                  capture_output=True, text=True, check=False)
            asked = sidecar.requests[-1]
            t.is_((done.stdout, asked.method, asked.path, asked.parameters, asked.body),
                  ("{}200", "POST", "/import/usage", {"dryRun": "true", "format": "csv"}, b"q" * size), f"{size} bytes {how}: whole")
            length = [] if "Transfer-Encoding: chunked" in how else [str(size)]
            t.is_(asked.field("Apikey-Length"), length, "its length, where the client says it")
    nginx.get("/api/import/conversations", alice, method="POST", headers=[JSON], body=b"{}")
    t.is_((sidecar.requests[-1].path, sidecar.requests[-1].parameters, sidecar.requests[-1].body), ("/import/conversations", {"format": "json"}, b"{}"),
          "conversations")
