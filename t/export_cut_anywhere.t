#!/usr/bin/python3
# The connection to Postgres is cut at a random byte of an export: curl ends with an error every time, over HTTP/1.1 and HTTP/2, with gzip
# and without, for CSV, JSON and conversations; never with a shorter file that looks whole.
# Hazards: G8, G10, G11, G12

import os
import random
import subprocess

from lib.apikeytest import Test
from lib.apikeytest.tcp_proxy import TcpProxy
from lib.apikeytest.unix_http import fill_usage

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    api_key_cache   valid=60s;
    gzip_types      text/csv application/json;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test"; api_key_usage off;
        location /plain/usage          { api_key_export usage; }
        location /gzip/usage           { api_key_export usage; gzip on; }
        location /plain/conversations  { api_key_export conversations; }
        location /gzip/conversations   { api_key_export conversations; gzip on; }
    }
}
"""
CUTS = 200
WHAT = ("usage?format=csv", "usage?format=json", "conversations")
WAYS = [(f"/{coding}/{what}", http) for what in WHAT for coding in ("plain", "gzip") for http in ("--http1.1", "--http2-prior-knowledge")]

with Test(limit=240) as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    chance = random.Random(seed)
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, 20_000)
    pg.sql("INSERT INTO conversations (user_id, id, title) SELECT 'alice', n::text, 'title' FROM generate_series(1, 100) n")
    pg.sql("INSERT INTO messages (user_id, id, conversation_id, position, role, content) SELECT 'alice', n::text || '-' || m, n::text, m, 'user', repeat('x', 500) "
           "FROM generate_series(1, 100) n, generate_series(1, 10) m")
    proxy = TcpProxy(f"{pg.folder}/.s.PGSQL.5432")
    daemon = t.apikeyd(f"host=127.0.0.1 port={proxy.port} user=postgres dbname={pg.database} sslmode=disable", redis)
    key = daemon.ctl("keys", "create", "--user", "alice", "--name", "n", json=True)["key"]
    t.secret(key)
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon)

    def curl(path, http):
        port = nginx.port if http == "--http1.1" else nginx.ports["PORT_H2"]
        done = subprocess.run(["curl", "-s", "-m", "60", http, "--compressed", "-w", "%{stderr}%{http_code}", "-H", f"Authorization: Bearer {key}",
                               f"http://127.0.0.1:{port}{path}"], capture_output=True, check=False)
        return done.returncode, done.stderr.decode(), done.stdout

    sizes = {}
    for way in WAYS:
        before = proxy.bytes
        code, status, body = curl(*way)
        t.is_((code, status, len(body) > 50_000), (0, "200", True), f"{way}: whole")
        sizes[way] = (proxy.bytes - before, body)
    wrong, refused = [], 0
    for n in range(CUTS):
        way = WAYS[n % len(WAYS)]
        size, whole = sizes[way]
        place = chance.randrange(size - 16)        # the end of the transaction is not the export's
        proxy.cut_at = proxy.bytes + place
        code, status, body = curl(*way)
        proxy.cut_at = None
        if code == 0 and status == "503" and b"service_unavailable" in body:
            refused += 1                           # cut before the first row
        elif code == 0 or status not in ("200", "000"):
            wrong.append((way, place, code, status, len(body)))
    t.must(not wrong, f"{CUTS} cuts: an error every time", wrong)
    t.ok(refused < CUTS / 4, "most of them in the midst of it", refused)
    t.like(daemon.log(), r"bytes in \S+ s: Postgres: ", "apikeyd says how they ended")
    for way in WAYS[:2]:
        t.is_(curl(*way)[2], sizes[way][1], f"{way}: whole again")
