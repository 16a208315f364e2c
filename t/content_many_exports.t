#!/usr/bin/python3
# Forty exports of four users at once, through nginx: two of a user and exports.parallel in all run, the others are told 429 and when to come
# back; everything else is served meanwhile, and nothing is left afterwards.
# Hazards: X11, X12

import os
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.unix_http import backends, fill_usage

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    server {
        listen 127.0.0.1:%PORT% sndbuf=64k;
        api_key_usage off;
        location /export/usage { api_key "test"; api_key_export usage; }
        location /plain        { api_key "test"; empty_gif; }
    }
}
"""
USERS, PARALLEL, ROWS = ("alice", "bob", "carol", "dave"), 6, 180_000     # 11 MB each: more than nginx takes ahead


def fds_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, ROWS, USERS[0])
    for user in USERS[1:]:
        pg.sql(f"INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) "
               f"SELECT '{user}', key_id, bucket, endpoint, model, status, requests FROM usage_records WHERE user_id = '{USERS[0]}'")
    daemon = t.apikeyd(pg, redis, exports__parallel=PARALLEL)
    keys = {user: t.secret(daemon.ctl("keys", "create", "--user", user, "--name", "n", json=True)["key"]) for user in USERS}
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon)
    t.is_([nginx.get("/export/usage/summary", keys[user]).status for user in USERS], [200] * 4, "all is in use")
    wait_for(lambda: not backends(pg), 5)
    base, before = nginx.fds(), fds_of(daemon.process.pid)

    def begin(user):
        c = nginx.connect(timeout=30)
        c.send(f"GET /export/usage?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {keys[user]}\r\n\r\n")
        return user, c

    def status(c):
        """Of an answer that has begun; nothing more is read."""
        while b"\r\n" not in c._buffer:    # pylint: disable=protected-access
            c._more()
        return int(c._buffer.split(b" ", 2)[1])

    for turn in ("first", "second"):       # what the first leaves behind would show in the second
        clients = [begin(USERS[n // 10]) for n in range(40)]
        by_status = {}
        for user, c in clients:
            by_status.setdefault(status(c), []).append((user, c))
        running, refused = by_status.get(200, []), by_status.get(429, [])
        t.is_((len(running), len(refused)), (PARALLEL, 40 - PARALLEL), f"{turn} time: exports.parallel run, the others do not")
        t.is_([user for user in USERS if sum(who == user for who, _ in running) > 2], [], "no user has more than two, though the first ones asked for ten")
        answers = [c.response() for _, c in refused]
        t.is_({(a.status, a.code, a.header("Retry-After"), a.header("Content-Disposition"), tuple(a.all("Cache-Control"))) for a in answers},
              {(429, "too_many_exports", "5", None, ("no-store",))}, "each of the others is told when to come back")
        t.ok(wait_for(lambda: len(backends(pg, "state = 'active'")) == PARALLEL), "as many backends, and no more", backends(pg, "state = 'active'"))

        # --- meanwhile ---
        took = []
        for n in range(200):
            began = time.monotonic()
            answer = nginx.get("/plain", keys[USERS[n % 4]])
            took.append(time.monotonic() - began)
            if answer.status != 200:
                t.ok(False, "other requests are served", answer)
        took.sort()
        t.ok(took[190] < 0.25, "others are served without a wait", f"{took[100] * 1000:.1f} ms, of 95 % {took[190] * 1000:.1f} ms")
        t.is_(nginx.get("/export/usage/summary", keys["alice"]).status, 200, "a summary is none of them")

        # --- the end: some leave, the others get all ---
        for _, c in running[::2]:
            c.reset()
        for user, c in running[1::2]:
            ended = c.response()
            t.ok(ended.whole and ended.body.count(b"\n") == ROWS + 1, f"{user}'s is whole", len(ended.body))
        for _, c in clients:
            c.close()
        t.ok(wait_for(lambda: not backends(pg, "state <> 'idle'"), 5), "Postgres does nothing any more")
        t.ok(wait_for(lambda: nginx.get("/export/usage/summary", keys["alice"]).status == 200, 5), "and the next is served")
        kept = 2 * 8                       # connections that each worker keeps, and apikeyd's side of them
        t.fds_return(nginx, base + kept)
        pooled = (PARALLEL + 1) // 2       # connections to Postgres that wait for the next export
        t.ok(wait_for(lambda: fds_of(daemon.process.pid) <= before + kept + pooled, 5), "apikeyd has closed what it had opened", fds_of(daemon.process.pid), before)
    pg.sql("TRUNCATE usage_records")       # nobody needs to look through all that for keys
