#!/usr/bin/python3
# worker_shutdown_timeout runs out while requests wait for a silent Redis: they end, the worker ends, nothing is left open.
# Hazards: N20, N22

import threading
import time

from lib.apikeytest import Test, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
worker_shutdown_timeout 500ms;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=30s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def seconds_to(action):
    begun = time.monotonic()
    t.ok(action(), "it is done")
    return time.monotonic() - begun


with Test() as t:
    alice = t.key(user="alice")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    t.is_(nginx.get("/", alice).status, 200, "Redis is in use")

    # A reload: the old worker is given its time, and the new one serves.
    for link in list(proxy.links):
        link.deaf = True
    client = nginx.connect()
    client.send(request_bytes(key=alice))
    time.sleep(0.2)
    t.ok(nginx.reload(wait_old=False), "reloaded")
    nginx.wait_log("gracefully shutting down")         # from then on only the new worker accepts
    t.is_(nginx.get("/", alice).saw("X-User-Id"), ["alice"], "the new worker serves meanwhile")
    r = client.response()
    t.is_((r.status, r.code), (503, "api_key_unavailable"), "the parked request is answered when the old one's time is up")
    client.close()
    t.ok(wait_for(lambda: len(nginx.workers()) == 1), "and the old worker is gone")

    # Quitting: everything ends.
    proxy.black_hole()
    clients = [nginx.connect() for _ in range(10)]
    for client in clients:
        client.send(request_bytes(key=alice))
    time.sleep(0.2)
    ended = []
    quitting = threading.Thread(target=lambda: ended.append(seconds_to(lambda: nginx.quit(10))))
    quitting.start()
    t.is_({client.response().status for client in clients}, {503}, "on quitting they are answered, too")
    quitting.join()
    t.ok(0.4 < ended[0] < 2, "after that time", f"{ended[0]:.2f} s")
    t.unlike(nginx.log(), "open socket", "nothing is left open")
    t.is_(sorted(x["status"] for x in nginx.requests()), [200, 200] + [503] * 11, "each request is logged once")
    t.is_(upstream.saw("X-User-Id"), ["alice"] * 2, "and only those who were let in reached the API")
