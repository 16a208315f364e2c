#!/usr/bin/python3
# Exports and imports go on through a reload; at the end of worker_shutdown_timeout, of nginx, or of its worker, clients see that something is
# missing and apikeyd and Postgres stop working for them. Kept connections to apikeyd hold up nobody, and are not used in vain.
# Hazards: N20, N22, S12, X12

import time

from lib.apikeytest import Test, chunk, wait_for
from lib.apikeytest.unix_http import backends, fill_usage

CONF = """
%GLOBALS%
worker_processes 1;
worker_shutdown_timeout %SHUTDOWN%;
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    server {
        listen 127.0.0.1:%PORT% sndbuf=64k;
        api_key "test";
        api_key_usage off;
        location /export/ { api_key_export usage; }
        location /import/ { api_key_import usage; }
    }
}
"""
ROWS = 180_000                             # 11 MB: more than nginx takes ahead
HEADER, ROW = b"date,endpoint,requests,tokens,cost,model,status\n", b"2026-11-28,/%d,1,2,0.5,m,success\n"


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, ROWS, "alice")
    daemon = t.apikeyd(pg, redis)
    alice, bob = (t.secret(daemon.ctl("keys", "create", "--user", user, "--name", "n", json=True)["key"]) for user in ("alice", "bob"))
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon, shutdown="1m")

    def export():
        c = nginx.connect(timeout=20)
        c.send(f"GET /export/?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n\r\n")
        c._more()                          # pylint: disable=protected-access
        return c

    def half_an_import():
        c = nginx.connect(timeout=20)
        c.send(f"POST /import/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bob}\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.send(chunk(HEADER + ROW % 1))
        return c

    def is_whole(c, name):
        answer = c.response()
        t.ok(answer.status == 200 and answer.whole and answer.body.count(b"\n") == ROWS + 1, f"{name}: whole", len(answer.body))

    def is_cut(c, name):
        answer = c.response()
        t.is_((answer.status, answer.whole), (200, False), f"{name}: the client sees that something is missing")

    def nobody_works(name, seconds=3):
        t.ok(wait_for(lambda: not backends(pg, "state <> 'idle'"), seconds), f"{name}: Postgres does nothing for it any more", backends(pg, "state <> 'idle'"))

    # --- a reload ---
    exports, upload = [export(), export()], half_an_import()
    t.ok(wait_for(lambda: len(backends(pg)) == 2), "two exports run")
    t.ok(nginx.reload(wait_old=False), "a reload")
    t.ok(nginx.wait_log("gracefully shutting down"), "the old worker ends when they have")
    t.is_(nginx.get("/export/summary", bob).status, 200, "the new one serves")
    t.is_(nginx.get("/export/", alice).code, "too_many_exports", "and apikeyd counts those that run")
    upload.send(chunk(ROW % 2) + b"0\r\n\r\n")
    answer = upload.response()
    t.is_((answer.status, answer.json["imported"]), (200, 2), "the import is whole")
    for c in exports:
        is_whole(c, "an export over a reload")
    t.ok(wait_for(lambda: len(nginx.workers()) == 1), "the old worker has ended")

    # --- apikeyd starts anew between requests ---
    for how in ("stop", "kill"):
        for turn in range(3):
            t.is_([nginx.get("/export/", bob).status for _ in range(3)], [200] * 3, "connections to apikeyd are kept")
            starts = daemon.log().count("http: listens on")
            getattr(daemon, how)()
            daemon.start(wait=None)
            t.ok(wait_for(lambda: daemon.log().count("http: listens on") > starts), f"apikeyd is back ({how})")
            t.is_([nginx.get(path, bob, method=method, headers={"Content-Type": "text/csv"}, body=body).status for path, method, body in
                   (("/export/", "GET", b""), ("/import/", "POST", HEADER), ("/export/", "HEAD", b""))], [200] * 3, "what was kept is not used in vain")
    t.is_(nginx.get("/import/?dryRun=true", bob, method="POST", headers={"Content-Type": "text/csv"}, body=HEADER + ROW % 7).status, 200, "an import")

    # --- a worker is killed ---
    exports, upload = [export()], half_an_import()
    t.ok(wait_for(lambda: backends(pg)), "an export runs")
    nginx.kill_worker(nginx.workers()[0])
    is_cut(exports[0], "the worker is killed")
    nobody_works("the worker is killed")
    t.ok(wait_for(lambda: nginx.workers() and nginx.get("/export/summary", bob).status == 200), "the next one serves")
    t.ok(wait_for(lambda: nginx.get("/import/", bob, method="POST", headers={"Content-Type": "text/csv"}, body=HEADER).status == 200, 5), "the place of the import is free")
    t.is_(pg.value("SELECT count(*) FROM usage_records WHERE user_id = 'bob'"), "2", "it has stored nothing")

    # --- worker_shutdown_timeout ends what is stalled ---
    nginx.write_config(shutdown="1s")
    t.ok(nginx.reload(), "the next configuration")
    exports, upload = [export()], half_an_import()
    t.ok(wait_for(lambda: backends(pg)), "an export runs")
    began = time.monotonic()
    t.ok(nginx.reload(wait_old=False), "a reload")
    t.ok(wait_for(lambda: len(nginx.workers()) == 1, 5), "its time is up: the old worker ends")
    t.ok(0.8 < time.monotonic() - began < 4, "not sooner", f"{time.monotonic() - began:.1f} s")
    is_cut(exports[0], "worker_shutdown_timeout")
    nobody_works("worker_shutdown_timeout")
    t.unlike(nginx.log(), "open socket", "nothing is left open")

    # --- nginx ends ---
    t.is_(nginx.get("/export/", bob).status, 200, "a connection to apikeyd is kept")
    began = time.monotonic()
    t.ok(nginx.quit(10), "nginx quits")
    t.ok(time.monotonic() - began < 0.9, "at once: nobody waits for kept connections", f"{time.monotonic() - began:.1f} s")
    nginx.start()
    exports, upload = [export()], half_an_import()
    t.ok(wait_for(lambda: backends(pg)), "an export runs")
    nginx.process.stop()
    is_cut(exports[0], "nginx is terminated")
    nobody_works("nginx is terminated")
    t.unlike(nginx.log(), "open socket", "nothing is left open")
    t.is_(pg.value("SELECT count(*) FROM usage_records WHERE user_id = 'bob'"), "2", "no import that broke off has stored anything")
    pg.sql("TRUNCATE usage_records")       # nobody needs to look through all that for keys
    nginx.start()
