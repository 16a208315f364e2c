#!/usr/bin/python3
# A client that leaves by RST, over TLS or by RST_STREAM while Redis is asked ends as 499 at once; the rest go on.
# Hazards: N2, P23

from lib.apikeytest import Gate, Test, parked, request_bytes, wait_for
from lib.apikeytest.tls import certificate, wrapped

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_TLS% ssl;
        listen 127.0.0.1:%PORT_H2% http2;
        %CERTIFICATE%
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def http1(key):
    connection = nginx.connect()
    connection.send(request_bytes(path="/left", key=key))
    return connection


def tls(key):
    connection = wrapped(nginx.connect(port=nginx.ports["PORT_TLS"]))
    connection.send(request_bytes(path="/left", key=key))
    return connection


def http2(key):
    connection = nginx.connect2(port=nginx.ports["PORT_H2"])
    connection.send(path="/left", key=key)
    return connection


def leaves(start, leave, how):
    parked.is_given_up(t, nginx, proxy, bob, lambda: start(alice), leave, how)


with Test() as t:
    alice, bob, carol = t.key(user="alice"), t.key(user="bob"), t.key(user="carol")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, carol])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, certificate=certificate(t.folder))
    t.is_(nginx.get("/", bob).status, 200, "Redis is in use")
    baseline = nginx.fds()

    leaves(http1, lambda c: c.reset(), "RST")
    leaves(tls, lambda c: c.close(), "end of a TLS connection")
    leaves(tls, lambda c: c.reset(), "RST of a TLS connection")
    leaves(http2, lambda c: c.close(), "end of an HTTP/2 connection")
    leaves(http2, lambda c: c.reset(1), "RST_STREAM")

    # One stream of three is reset: the other two, on the same connection, are answered.
    proxy.forget()
    before, gate = len(nginx.wait_requests(1)), Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect2(port=nginx.ports["PORT_H2"]) as c:
        first, given_up, last = [c.send(key=key) for key in (alice, carol, bob)]
        wait_for(lambda: proxy.count("HMGET") == 3)
        c.reset(given_up)
        t.is_(len(nginx.wait_requests(before + 1)), before + 1, "one stream of three ends")
        gate.open()
        t.is_([r.saw("X-User-Id") for r in c.wait(first, last)], [["alice"], ["bob"]], "its neighbours are themselves")
        t.is_(c.request(key=alice).saw("X-User-Id"), ["alice"], "and the connection serves on")

    t.is_(sorted(upstream.saw("X-User-Id")), ["alice"] * 2 + ["bob"] * 7, "the API saw nobody who had left")
    t.is_(proxy.kinds["lookups"], 1, "all over one connection to Redis")
    t.fds_return(nginx, baseline)
