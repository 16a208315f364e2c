#!/usr/bin/python3
# A hundred HTTP/2 streams of one connection at once, each its own user; a stream that is reset leaves nothing behind.
# Hazards: P23

import time

from lib.apikeytest import Gate, Test, delay, wait_for

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
        for _ in range(2):
            answers = client.wait(*[client.send(path=f"/{key.user}", key=key) for key in users])
            t.is_([(r.json["path"], r.saw("X-User-Id")) for r in answers],
                  [(f"/{key.user}", [key.user]) for key in users], "a hundred streams, a hundred users")
        mixed = [key for i in range(10) for key in (users[i], strangers[i])]
        answers = client.wait(*[client.send(key=key) for key in mixed])
        t.is_([r.saw("X-User-Id")[0] if r.status == 200 else r.code for r in answers],
              [name for i in range(10) for name in (f"user-{i}", "invalid_api_key")], "good and bad ones mixed")
    redis_proxy.clear()
    logged = 220

    # Every second stream is reset while it is parked.
    gate = Gate()
    redis_proxy.on("HMGET", gate.hold, times=1)
    with nginx.connect2(port=nginx.port) as client:
        streams = [client.send(key=key) for key in users]
        t.ok(wait_for(lambda: redis_proxy.count("HMGET") == logged + 100), "a hundred more are parked")
        for stream in streams[::2]:
            client.reset(stream)
        t.ok(wait_for(lambda: len(nginx.requests()) == logged + 50), "a reset one ends before Redis has answered")
        gate.open()
        answers = client.wait(*streams[1::2])
        t.is_([r.saw("X-User-Id") for r in answers], [[key.user] for key in users[1::2]], "the others get their answers")
        late = [client.send(key=key) for key in users[:10]]
        t.is_([r.saw("X-User-Id") for r in client.wait(*late)], [[key.user] for key in users[:10]],
              "and so do streams that come later")
    statuses = [x["status"] for x in nginx.wait_requests(logged + 110)[logged:]]
    t.is_((len(statuses), statuses.count(499), statuses.count(200)), (110, 50, 60),
          "each is logged once, the reset ones as 499")
    t.fds_return(nginx, baseline)

    # A worker that stops waits for requests that wait for Redis, so this shows whether any is still counted.
    redis_proxy.black_hole()
    with nginx.connect2(port=nginx.port) as client:
        asked = len(upstream.requests)
        streams = [client.send(key=key) for key in users]
        for stream in streams:
            client.reset(stream)
        t.ok(wait_for(lambda: len(nginx.requests()) == logged + 210), "all hundred are reset while Redis is silent")
        client.close()
    started = time.monotonic()
    t.ok(nginx.quit(5.0), "nginx stops")
    t.ok(time.monotonic() - started < 3.0, "at once: nobody is waited for", f"{time.monotonic() - started} s")
    t.is_(len(upstream.requests), asked, "the upstream saw none of them")
