#!/usr/bin/python3
# A client that hangs up while Redis is asked about its key ends as 499 at once, and its reply goes to nobody.
# Hazards: N1, P22

import os
import signal

from lib.apikeytest import Gate, Test, request_bytes, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def asked(proxy, count):
    return wait_for(lambda: proxy.count("HMGET") == count)


with Test() as t:
    alice, bob, carol = t.key(user="alice"), t.key(user="bob"), t.key(user="carol")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, carol])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    nginx.get("/", carol)
    baseline = nginx.fds()
    proxy.forget()

    gate = Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect() as first, nginx.connect() as next_in_line:
        first.send(request_bytes(path="/left", key=alice))
        t.ok(asked(proxy, 1), "Redis is asked")
        next_in_line.send(request_bytes(path="/stays", key=bob))
        t.ok(asked(proxy, 2), "and about the next one")
        first.close()
        logged = nginx.wait_requests(2)[1]
        t.is_((logged["uri"], logged["status"]), ("/left", 499), "the one who left is logged as 499 before Redis has answered")
        t.is_((logged["user"], logged["key_status"]), ("", ""), "without an identity or a verdict")
        gate.open()
        t.is_(next_in_line.response().saw("X-User-Id"), ["bob"], "the next in line is himself")

    t.is_(proxy.kinds["lookups"], 1, "over the same connection to Redis")
    t.is_(upstream.saw("X-User-Id"), ["carol", "bob"], "the API never saw the one who left")
    t.logged_once(nginx, 3)

    # A request that is already there behind the parked one does not hide that its sender has left.
    gate = Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect() as client:
        client.send(request_bytes(path="/left", key=alice) + request_bytes(path="/behind", key=bob))
        t.ok(asked(proxy, 3), "two requests in one write; Redis is asked about the first")
    logged = nginx.wait_requests(4)[3]
    t.is_((logged["uri"], logged["status"]), ("/left", 499), "499 for the first, before Redis has answered")
    gate.open()
    t.is_(nginx.get("/", carol).saw("X-User-Id"), ["carol"], "the next one on the link is herself")
    t.is_([x["uri"] for x in nginx.wait_requests(5)].count("/behind"), 0, "the second was never begun")

    # Whoever has left before his request is read has left, too: his end came with it, and nothing comes any more.
    gate = Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    for worker in nginx.workers():
        os.kill(worker, signal.SIGSTOP)
    with nginx.connect() as client:
        client.send(request_bytes(path="/left", key=alice))
    for worker in nginx.workers():
        os.kill(worker, signal.SIGCONT)
    t.ok(asked(proxy, 5), "he left at once; Redis is asked")
    t.is_([(x["uri"], x["status"]) for x in nginx.wait_requests(6)[5:]], [("/left", 499)], "499, before Redis has answered")
    gate.open()
    t.is_(nginx.get("/", carol).saw("X-User-Id"), ["carol"], "the next one on the link is herself")
    t.fds_return(nginx, baseline)
