#!/usr/bin/python3
# A worker that is told to quit while requests wait for a silent Redis answers them 503 within the timeout and ends, with
# nothing left open; for clients that have left it does not wait.
# Hazards: N20, N1

import threading
import time

from lib.apikeytest import Test, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=%TIMEOUT%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def started(timeout):
    """An nginx whose link works, and then everything is swallowed."""
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy, timeout=timeout)
    t.ok(wait_for(lambda: proxy.kinds["lookups"] == 2 and nginx.get("/", keys[0]).status == 200), f"{timeout}: Redis is in use")
    return nginx, proxy


def seconds_to_quit(nginx):
    begun = time.monotonic()
    ended = nginx.quit(10)
    t.ok(ended, "nginx ends")
    t.unlike(nginx.log(), r"open socket", "with nothing left open")
    return time.monotonic() - begun


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(20)]
    redis = t.redis(keys=keys)

    nginx, proxy = started("5s")
    t.ok(seconds_to_quit(nginx) < 1, "an idle link to Redis does not hold nginx back")

    nginx, proxy = started("1s")
    proxy.forget()
    proxy.black_hole()
    clients = [nginx.connect() for _ in keys]
    for client, key in zip(clients, keys):
        client.send(request_bytes(key=key))
    with nginx.connect2(port=nginx.ports["PORT_H2"]) as http2:
        for key in keys:
            http2.send(key=key)
        time.sleep(0.3)
        begun, ended = time.monotonic(), []
        quitting = threading.Thread(target=lambda: ended.append(seconds_to_quit(nginx)))
        quitting.start()
        answers = [client.response() for client in clients]
        waited = time.monotonic() - begun
        wait_for(lambda: len(nginx.requests()) > 2 * len(keys))
    quitting.join()
    t.is_({(r.status, r.code) for r in answers}, {(503, "api_key_unavailable")}, "parked requests are answered 503")
    t.ok(0.4 < waited < 1.3, "when their time is up", f"{waited:.2f} s after QUIT")
    t.ok(ended[0] < 2.3, "and nginx ends when their usage has been offered to Redis for 0.8 s", f"{ended[0]:.2f} s")
    t.is_([x["status"] for x in nginx.requests()].count(503), 2 * len(keys), "each is logged once, HTTP/2 too")

    nginx, proxy = started("30s")
    proxy.black_hole()
    clients = [nginx.connect() for _ in keys]
    for client, key in zip(clients, keys):
        client.send(request_bytes(key=key))
    time.sleep(0.3)
    for client in clients[1:]:
        client.close()
    t.is_(len(nginx.wait_requests(len(keys))), len(keys), "all but one have left")
    quitting = threading.Thread(target=lambda: ended.append(seconds_to_quit(nginx)))
    quitting.start()
    time.sleep(1.2)                        # past the next heartbeat of the link
    t.ok(nginx.process.alive(), "for the last one nginx waits")
    clients[0].close()
    quitting.join()
    t.ok(ended[1] < 3, "and ends when he has left, too, long before the timeout", f"{ended[1]:.2f} s")
