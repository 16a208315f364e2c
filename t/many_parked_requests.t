#!/usr/bin/python3
# While Redis is silent, no more than 8,192 requests wait in a worker: the next is answered 503 at once. Each costs us less than
# 1 KiB beside what nginx has for a request that waits, and the memory is used again.
# Hazards: X4

import time

from lib.apikeytest import Test, memory_of, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { worker_connections 1024; }
http {
    %HTTP%
    access_log off;
    http2_max_concurrent_streams 1000;
    keepalive_requests 1000000;
    %OURS%
    limit_req_zone $server_port zone=waiting:1m rate=1r/s;
    server {
        listen 127.0.0.1:%PORT_H2% http2;
        location /     { %PARK% empty_gif; }
        location /open { empty_gif; }
    }
}
"""
OURS = "api_key_zone keys:1m; api_key_redis %REDIS% timeout=60s;"
CAP, EXTRA = 8192, 200


def memory(nginx):
    """What the worker has for itself, in KiB."""
    return memory_of(nginx.workers()[0], "Anonymous")


def connect(nginx):
    client = nginx.connect2(port=nginx.ports["PORT_H2"], timeout=60)
    client.request(path="/open")           # the server's settings have come
    return client


def park(nginx, name):
    """CAP requests, each with a key of its own, none of which is answered yet."""
    clients, sent = [connect(nginx) for _ in range(32)], []
    for n in range(CAP):
        client = clients[n % len(clients)]
        sent.append((client, client.send(key=f"{name}-{n:06}")))
    for client in clients:
        client.request(path="/open")       # everything before it has been read
    return sent


def finish(sent):
    """The statuses of their answers."""
    statuses = set()
    for client in {client for client, _ in sent}:
        statuses |= {r.status for r in client.wait(*[stream for c, stream in sent if c is client])}
        client.close()
    return statuses


with Test(limit=240) as t:
    # What such requests cost nginx itself: limit_req makes them wait.
    nginx = t.nginx(CONF, module=False, ours="", park="limit_req zone=waiting burst=10000;")
    connect(nginx).close()
    before = memory(nginx)
    sent = park(nginx, "bare")
    bare = memory(nginx) - before
    for client in {client for client, _ in sent}:
        client.close()

    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy, ours=OURS, park='api_key "test";')
    with connect(nginx) as first:
        t.ok(wait_for(lambda: first.request(key=alice).status == 200), "Redis is in use")
    before, sizes = memory(nginx), []
    for turn in range(2):
        redis.process.pause()
        sent = park(nginx, f"unknown-{turn}")
        sizes.append(memory(nginx) - before)
        with connect(nginx) as late:
            begun = time.monotonic()
            answers = late.wait(*[late.send(key=f"late-{turn}-{n}") for n in range(EXTRA)])
            took = time.monotonic() - begun
        t.is_({(r.status, r.code) for r in answers}, {(503, "api_key_unavailable")}, f"{CAP} wait, {EXTRA} more come: 503")
        t.ok(took < 10, "at once, not at the timeout of 60 s", f"{took:.2f} s")
        redis.process.resume()
        t.is_(finish(sent), {401}, "Redis goes on: all that waited are answered")
    each = (sizes[0] - bare) * 1024 / CAP
    t.weigh(each < 1024, "a request that waits costs us less than 1 KiB", f"{each:.0f} bytes")
    t.weigh(sizes[1] < 1.1 * sizes[0], "and the memory is used again", sizes)
    t.note(f"{each:.0f} bytes each, nginx itself {bare * 1024 / CAP:.0f}; KiB in turn: {sizes}")
