#!/usr/bin/python3
# A hundred HTTP/2 streams of one connection at once, each its own user; a stream that is reset leaves nothing behind.
# Hazards: P23

from lib.apikeytest import Test, delay, parked, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    server {
        listen 127.0.0.1:%PORT% http2;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    users = [t.key(user=f"user-{i}") for i in range(100)]
    strangers = [t.key() for _ in range(10)]
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=users)), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)
    baseline = nginx.fds()

    redis_proxy.on("HMGET", delay(0, 0.002))
    with nginx.connect2(port=nginx.port) as client:
        parked.streams_are_themselves(t, client, users, strangers, rounds=2)
    redis_proxy.clear()
    logged = 220

    # Every second stream is reset while it is parked.
    with nginx.connect2(port=nginx.port) as client:
        parked.streams_are_given_up(t, nginx, redis_proxy, client, users, logged, lambda _, key: client.send(key=key))
    t.fds_return(nginx, baseline)

    redis_proxy.black_hole()
    with nginx.connect2(port=nginx.port) as client:
        asked = len(upstream.requests)
        streams = [client.send(key=key) for key in users]
        for stream in streams:
            client.reset(stream)
        t.ok(wait_for(lambda: len(nginx.requests()) == logged + 210), "all hundred are reset while Redis is silent")
        client.close()
    parked.nobody_is_waited_for(t, nginx)
    t.is_(len(upstream.requests), asked, "the upstream saw none of them")
