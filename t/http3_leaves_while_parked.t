#!/usr/bin/python3
# A client of HTTP/3 that gives a request up while Redis is asked, in any of the ways that QUIC has, ends as 499 at once; the rest go on.
# Hazards: N2, P23

from lib.apikeytest import Gate, Test, need_http3, parked, request_bytes, wait_for
from lib.apikeytest.tls import certificate

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    limit_req_zone $server_name zone=all:1m rate=1r/s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location /late { limit_req zone=all burst=9; api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_GONE% quic;
        %CERTIFICATE%
        keepalive_timeout 1s;              # over HTTP/3: how long a client may be silent
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""

need_http3()


def whole(client):
    return client.send(path="/left", key=alice)


def in_the_body(client):
    return client.send("POST", "/left", alice, headers=[("content-length", "10")], open_end=b"some")


def leaves(start, leave, how, status=499, port="PORT_H3"):
    with nginx.connect3(port=nginx.ports[port]) as leaver:
        def parked_stream():
            stream = start(leaver)
            leaver.wait_until(lambda: leaver.early is not None)
            return stream
        parked.is_given_up(t, nginx, proxy, bob, parked_stream, lambda stream: leave(leaver, stream), how, status)


with Test() as t:
    alice, bob, carol = t.key(user="alice"), t.key(user="bob"), t.key(user="carol")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, carol])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, certificate=certificate(t.folder))
    t.is_(nginx.get("/", bob).status, 200, "Redis is in use")
    baseline = nginx.fds()

    leaves(whole, lambda c, s: c.stop(s), "STOP_SENDING")
    leaves(whole, lambda c, s: c.reset(s), "both directions, of a whole request")
    leaves(in_the_body, lambda c, s: c.break_off(s), "RESET_STREAM in the body")
    leaves(in_the_body, lambda c, s: c.reset(s), "both directions, in the body")
    # What nginx logs of any request whose whole connection has ended before it was answered.
    leaves(whole, lambda c, s: c.close(), "CONNECTION_CLOSE", status=0)
    leaves(in_the_body, lambda c, s: c.close(), "CONNECTION_CLOSE in the body", status=0)
    leaves(whole, lambda c, s: c.vanish(), "a client that is gone without a packet", status=0, port="PORT_GONE")

    # What nginx hears while limit_req holds a request back, and tells nobody.
    before, gate = len(nginx.wait_requests(1)), Gate()
    proxy.forget()
    with nginx.connect3() as c:
        c.request(path="/late", key=bob)
        proxy.on("HMGET", gate.hold, nth=1)
        c.stop(c.send(path="/late", key=carol))
        t.ok(wait_for(lambda: proxy.count("HMGET") == 2), "a request that was held back is parked")
        t.is_([x["status"] for x in nginx.wait_requests(before + 2)[before:]], [200, 499], "and ends at once: it was given up before")
        gate.open()
    proxy.clear()

    # A request and its end that come in one packet: it is given up before it can be parked, or just then.
    with nginx.connect3() as c:
        c.request(key=bob)
        for _ in range(50):
            c.reset(c.send(key=alice))
        t.is_(c.request(key=bob).saw("X-User-Id"), ["bob"], "fifty that are given up at once do no harm")

    # One stream of three is given up: the other two, on the same connection, are answered.
    proxy.forget()
    before, gate = len(nginx.wait_requests(1)), Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect3() as c:
        first, given_up, last = [c.send(key=key) for key in (alice, carol, bob)]
        wait_for(lambda: proxy.count("HMGET") == 3)
        c.reset(given_up)
        t.is_(len(nginx.wait_requests(before + 1)), before + 1, "one stream of three ends")
        gate.open()
        t.is_([r.saw("X-User-Id") for r in c.wait(first, last)], [["alice"], ["bob"]], "its neighbours are themselves")
        t.is_(c.request(key=alice).saw("X-User-Id"), ["alice"], "and the connection serves on")

    t.is_(upstream.saw("X-User-Id").count("carol"), 0, "the API saw nobody who had left")
    t.is_(proxy.kinds["lookups"], 1, "all over one connection to Redis")
    t.fds_return(nginx, baseline)
