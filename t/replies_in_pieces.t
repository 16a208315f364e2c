#!/usr/bin/python3
# However Redis' replies are torn into segments, or put together in one, the answers are the same.
# Hazards: R13

import time

from lib.apikeytest import Test, delay, request_bytes, split, split_at, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=10s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def answers():
    got = []
    for key in (alice, nobody, bob):
        r = nginx.get("/", key)
        got.append((r.status, r.saw("X-User-Id") if r.status == 200 else r.code))
    return got


def new_connection():
    connections = proxy.kinds["lookups"]
    proxy.close_all(kind="lookups")
    wait_for(lambda: proxy.kinds["lookups"] > connections)


with Test() as t:
    alice, bob, nobody = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    redis = t.redis(keys=[alice, bob])
    proxy, upstream = t.redis_proxy(redis, record=False), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    right = [(200, ["alice"]), (401, "invalid_api_key"), (200, ["bob"])]
    t.is_(wait_for(lambda: (got := answers()) == right and got), right, "in one piece")
    connections = proxy.kinds["lookups"]

    # The longest reply to a lookup, with three marks behind its fields; cut behind every byte of it.
    fields = sum(([x] for x in ("hash", "id", "user", "name", "prefix", "scopes", "expires")), [])
    longest = sum(len(f"${len(v)}\r\n{v}\r\n") for v in redis("HMGET", f"apikey:k:{alice.hash}", *fields)) + 5 + 3 * 5
    wrong = []
    for position in range(1, longest):
        proxy.on("HMGET", split_at(position, pause=0.001))
        r = nginx.get("/", alice)
        if r.status != 200 or r.saw("X-User-Id") != ["alice"]:
            wrong.append((position, r))
        proxy.clear()
    t.is_(wrong, [], f"a reply cut in two, at each of {longest - 1} places")
    for position in range(1, 120):
        proxy.on("GET", split_at(position, pause=0.001))
        if nginx.get("/", nobody).status != 401:
            wrong.append(position)
        proxy.clear()
    t.is_(wrong, [], "the epoch cut in two anywhere")

    for size in (1, 2, 3, 5, 17, 64):
        proxy.on("*", split(size, pause=0.0001))
        t.is_(answers(), right, f"everything in segments of {size}")
        new_connection()
        t.is_(answers(), right, "from the first reply of a connection on")
        proxy.clear()
    t.is_(proxy.kinds["lookups"], connections + 6, "on connections that live")

    # Replies to several lookups at once in one segment.
    clients = [nginx.connect() for _ in range(9)]
    proxy.on("HMGET", delay(0.3), nth=1)
    for client, key in zip(clients, (alice, nobody, bob) * 3):
        client.send(request_bytes(key=key))
        time.sleep(0.01)
    got = [(r.status, r.saw("X-User-Id") if r.status == 200 else r.code) for r in (c.response() for c in clients)]
    t.is_(got, right * 3, "many replies in one segment")
    for client in clients:
        client.close()
    t.unlike(nginx.log(), "cannot be used: (?!it closed)", "nothing of it was an error")
