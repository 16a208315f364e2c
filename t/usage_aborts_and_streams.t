#!/usr/bin/python3
# A client that leaves is counted once, with what nginx had sent by then; a long stream and a WebSocket once, at their end and in
# the minute of that; over HTTP/2 it is the same for each stream.
# Hazards: U2, P23, P24, N22

import datetime
import time

from lib.apikeytest import Test, request_bytes, wait_for
from lib.apikeytest import usage
from lib.apikeytest.unfinished import UnfinishedUpstream

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    proxy_http_version 1.1;
    proxy_buffering off;
    upstream streams { server 127.0.0.1:%STREAMS%; }
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_2% http2;
        api_key "test";
        location /silent    { proxy_pass http://streams; }
        location /slow      { proxy_read_timeout 300ms; proxy_pass http://streams/silent; }
        location /broken    { proxy_pass http://streams/broken; }
        location /left      { proxy_pass http://streams/events; }
        location /ignored   { proxy_ignore_client_abort on; proxy_pass http://streams/events; }
        location /events    { proxy_pass http://streams/events; }
        location /socket    { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_pass http://streams; }
        location /h2/       { alias %DIR%/; }
        location /h2/left   { proxy_pass http://streams/events; }
        location /h2/silent { proxy_pass http://streams/silent; }
    }
}
"""

upstream, expected = UnfinishedUpstream(), {}


def expect(endpoint, status):
    expected[endpoint, status] = expected.get((endpoint, status), 0) + 1


def read_until(connection, end):
    received = b""
    while end not in received:
        received += connection.socket.recv(1000)


def leaves(path, after):
    """A client that leaves when `after` has come of the answer (b"": when the upstream was asked)."""
    before = len(upstream.asked)
    with nginx.connect() as client:
        client.send(request_bytes(path=path, key=alice))
        wait_for(lambda: len(upstream.asked) > before)
        if after:
            read_until(client, after)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    nginx = t.nginx(CONF, redis=redis, streams=upstream.port)

    leaves("/silent", b"")
    expect("/silent", "error")                     # 499
    t.is_(nginx.get("/slow", alice).status, 504, "an upstream that does not answer in time")
    expect("/slow", "error")
    t.is_((r := nginx.get("/broken", alice)).status, 200, "an upstream that breaks off")
    t.ok(not r.whole, "in the middle of its answer")
    expect("/broken", "success")                   # 200 was sent
    leaves("/left", b"data: 1")
    expect("/left", "success")
    logged = {x["uri"]: x["status"] for x in nginx.wait_requests(4)}
    t.is_(logged, {"/silent": 499, "/slow": 504, "/broken": 200, "/left": 200}, "what nginx logs of them")

    # What is under way is not counted yet.
    with nginx.connect() as events, nginx.connect() as socket:
        events.send(request_bytes(path="/events", key=alice))
        read_until(events, b"data: 1")
        socket.send(request_bytes(path="/socket", key=alice, headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")]))
        t.is_(socket.response().status, 101, "a WebSocket")
        leaves("/ignored", b"data: 1")
        t.is_(usage.wait_counted(redis, 99, timeout=1), 4, "streams that are open count nothing")
        begun, before = usage.last_used(redis)[alice.id], now()
        upstream.go_on.set()
        read_until(events, b"data: 2\n\n\r\n0\r\n\r\n")
        expect("/events", "success")
        expect("/ignored", "success")              # nobody reads it, but nginx does
        t.is_(usage.wait_counted(redis, 6), 6, "and is counted")
        last, minute = usage.last_used(redis)[alice.id], [row.minute for row in usage.rows(redis, endpoint="/events")]
        t.ok(begun < before.isoformat()[:23] <= last[:23] <= now().isoformat()[:23], "at its end", begun, before, last)
        t.ok(minute[0] in (last[:16] + ":00Z", before.isoformat()[:16] + ":00Z"), "in the minute of that", minute, last)
        socket.send(b"hello")
        t.is_(socket.socket.recv(100), b"hello", "the WebSocket goes on")
    expect("/socket", "success")
    t.is_(usage.wait_counted(redis, 7), 7, "and is counted when it is closed")

    # HTTP/2: streams of one connection.
    with nginx.connect2(port=nginx.ports["PORT_2"]) as client:
        done = client.wait(*[client.send(path="/h2/nginx.conf", key=alice) for _ in range(20)], client.send("HEAD", "/h2/nginx.conf", alice))
        t.is_({r.status for r in done}, {200}, "21 streams of HTTP/2")
        expected["/h2/", "success"] = 21
        t.is_(client.request(path="/h2/none", key=alice).status, 404, "one more")
        expect("/h2/", "error")
        upstream.go_on.clear()
        upstream.asked.clear()
        streams = [client.send(path="/h2/left", key=alice), client.send(path="/h2/silent", key=alice)]
        wait_for(lambda: len(upstream.asked) == 2)
        time.sleep(0.2)                            # the first one's header is sent
        for stream in streams:
            client.reset(stream)
        expect("/h2/left", "success")
        expect("/h2/silent", "error")
        usage.wait_counted(redis, sum(expected.values()))
    upstream.go_on.set()

    found = usage.by(redis, "endpoint", "status")
    for name in sorted(set(expected) | set(found)):
        t.is_(found.get(name), expected.get(name), f"counted: {' '.join(name)}")
