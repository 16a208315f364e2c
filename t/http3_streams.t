#!/usr/bin/python3
# A hundred HTTP/3 streams of one connection at once, each its own user; streams that are given up, and connections that end, leave
# nothing behind.
# Hazards: P23, N2

import time

from lib.apikeytest import Test, delay, need_http3, parked, wait_for
from lib.apikeytest.tls import certificate

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

need_http3()

with Test() as t:
    users = [t.key(user=f"user-{i}") for i in range(100)]
    strangers = [t.key() for _ in range(10)]
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=users)), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream, certificate=certificate(t.folder))
    t.is_(nginx.get("/", users[0]).status, 200, "Redis is in use")
    baseline = nginx.fds()

    redis_proxy.on("HMGET", delay(0, 0.002))
    with nginx.connect3() as client:
        parked.streams_are_themselves(t, client, users, strangers, rounds=3)
    redis_proxy.clear()
    logged = 321

    # Every second stream is given up while it is parked: in turn by STOP_SENDING alone, and before its body has come.
    with nginx.connect3() as client:
        parked.streams_are_given_up(
            t, nginx, redis_proxy, client, users, logged,
            lambda i, key: client.send("POST", key=key, open_end=b"x") if i % 4 == 0 else client.send(key=key))
    t.fds_return(nginx, baseline)

    redis_proxy.black_hole()
    asked = len(upstream.requests)
    with nginx.connect3() as client:
        for stream in [client.send(key=key) for key in users[:50]]:
            client.stop(stream)
        t.ok(wait_for(lambda: len(nginx.requests()) == logged + 160), "all fifty are given up while Redis is silent")
    with nginx.connect3() as client:
        for key in users[:50]:
            client.send(key=key)
        client.wait_until(lambda: client.early is not None)
        time.sleep(0.2)
    t.ok(wait_for(lambda: len(nginx.requests()) == logged + 210), "all fifty of a connection that ends", len(nginx.requests()) - logged)
    parked.nobody_is_waited_for(t, nginx)
    t.is_(len(upstream.requests), asked, "the upstream saw none of them")
