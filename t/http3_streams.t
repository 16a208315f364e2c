#!/usr/bin/python3
# A hundred HTTP/3 streams of one connection at once, each its own user; streams that are given up, and connections that end, leave
# nothing behind.
# Hazards: P23, N2

import time

from lib.apikeytest import Gate, Test, delay, need_http3, wait_for
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
        for _ in range(3):
            answers = client.wait(*[client.send(path=f"/{key.user}", key=key) for key in users])
            t.is_([(r.json["path"], r.saw("X-User-Id")) for r in answers],
                  [(f"/{key.user}", [key.user]) for key in users], "a hundred streams, a hundred users")
        mixed = [key for i in range(10) for key in (users[i], strangers[i])]
        answers = client.wait(*[client.send(key=key) for key in mixed])
        t.is_([r.saw("X-User-Id")[0] if r.status == 200 else r.code for r in answers],
              [name for i in range(10) for name in (f"user-{i}", "invalid_api_key")], "good and bad ones mixed")
    redis_proxy.clear()
    logged = 321

    # Every second stream is given up while it is parked: in turn by STOP_SENDING alone, and before its body has come.
    gate, asked = Gate(), redis_proxy.count("HMGET")
    redis_proxy.on("HMGET", gate.hold, times=1)
    with nginx.connect3() as client:
        streams = [client.send("POST", key=key, open_end=b"x") if i % 4 == 0 else client.send(key=key)
                   for i, key in enumerate(users)]
        t.ok(wait_for(lambda: redis_proxy.count("HMGET") == asked + 100), "a hundred more are parked")
        for stream in streams[::2]:
            client.reset(stream)
        t.ok(wait_for(lambda: len(nginx.requests()) == logged + 50), "one that is given up ends before Redis has answered",
             len(nginx.requests()) - logged)
        gate.open()
        answers = client.wait(*streams[1::2])
        t.is_([r.saw("X-User-Id") for r in answers], [[key.user] for key in users[1::2]], "the others get their answers")
        late = [client.send(key=key) for key in users[:10]]
        t.is_([r.saw("X-User-Id") for r in client.wait(*late)], [[key.user] for key in users[:10]],
              "and so do streams that come later")
    statuses = [x["status"] for x in nginx.wait_requests(logged + 110)[logged:]]
    t.is_((len(statuses), statuses.count(499), statuses.count(200)), (110, 50, 60),
          "each is logged once, those given up as 499")
    t.fds_return(nginx, baseline)

    # A worker that stops waits for requests that wait for Redis, so this shows whether any is still counted.
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
    started = time.monotonic()
    t.ok(nginx.quit(5.0), "nginx stops")
    t.ok(time.monotonic() - started < 3.0, "at once: nobody is waited for", f"{time.monotonic() - started} s")
    t.is_(len(upstream.requests), asked, "the upstream saw none of them")
