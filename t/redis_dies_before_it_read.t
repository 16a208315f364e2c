#!/usr/bin/python3
# Redis is killed while it sleeps, with more commands under way than the socket holds: what was not yet written is not what
# its successor reads first.
# Hazards: R2, R15

import re
import signal

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT% http2;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
CLIENTS, STREAMS = 40, 100

with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    redis, upstream = t.redis(keys=[alice, bob]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    clients = [nginx.connect2() for _ in range(CLIENTS)]
    t.is_(clients[0].request(key=alice).status, 200, "Redis is in use")

    redis.process.pause()
    waiting = [(client, [client.send(key=alice) for _ in range(STREAMS)]) for client in clients]
    t.is_(clients[0].request().status, 401, "nginx goes on working")
    redis.stop(signal.SIGKILL)
    statuses = {r.status for client, streams in waiting for r in client.wait(*streams)}
    t.is_(statuses, {503}, f"{CLIENTS * STREAMS} that were under way are unavailable")
    t.is_(len(upstream.requests), 1, "and reached nobody")

    redis.start()
    redis.add(alice, bob)
    redis.trust()
    asked = []
    t.ok(wait_for(lambda: asked.append(bob) or clients[1].request(key=bob).status == 200), "the new one is asked")
    asked += [alice, bob, alice]
    t.is_([r.saw("X-User-Id") for r in (clients[n].request(key=key) for n, key in enumerate(asked[-3:]))],
          [["alice"], ["bob"], ["alice"]], "and everybody is who he is")
    lookups = int(re.search(r"cmdstat_hmget:calls=(\d+)", redis("INFO", "commandstats"))[1])
    t.ok(lookups <= len(asked), "it was asked nothing but that", f"{lookups} lookups, {len(asked)} requests")
    t.unlike(redis("INFO", "errorstats"), "errorstat_ERR", "and got no half commands")
    for client in clients:
        client.close()
