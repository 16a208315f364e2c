#!/usr/bin/python3
# A request in early data of HTTP/3 (0-RTT) has its key looked up like any other, and may wait for Redis beyond the handshake; a bad one
# is refused. As long as it is early, $ssl_early_data tells the upstream.
# Hazards: N33

from lib.apikeytest import Gate, Test, need_http3, skip_all, wait_for
from lib.apikeytest.tls import certificate

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=20s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        ssl_early_data on;
        add_header X-Early $ssl_early_data always;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_set_header Early-Data $ssl_early_data;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

need_http3()


def session():
    """Of a connection that has just been."""
    with nginx.connect3() as client:
        client.wait_until(lambda: client.sessions)
        return client.sessions[-1]


with Test() as t:
    alice, bob, carol, stranger = t.key(user="alice"), t.key(user="bob"), t.key(user="carol"), t.key()
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, carol])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, certificate=certificate(t.folder))
    with nginx.connect3(session=session()) as client:
        client.request(key=alice)
        if not client.early:
            skip_all("this nginx's TLS library has no early data over QUIC")

    t.is_(upstream.requests[-1]["path"], "/", "early data is answered")
    for key, status, user in ((alice, 200, "alice"), (bob, 200, "bob"), (stranger, 401, None), (None, 401, None), ("a b", 401, None)):
        with nginx.connect3(session=session()) as client:
            r = client.request(key=key)
            t.is_((client.early, r.status), (True, status), f"in early data: {status}")
            if key in (None, "a b"):
                t.is_(r.header("X-Early"), "1", "refused before the handshake was done")
            if user:
                t.is_(r.saw("X-User-Id"), [user], f"{user} is himself")
                t.ok(r.saw("Early-Data") in (["1"], []), "early, unless the handshake was done when Redis had answered")
                t.is_(client.request(key=key).saw("Early-Data"), [], "what comes after the handshake is not early")

    # The handshake ends while requests of early data wait for Redis.
    gate = Gate()
    proxy.forget()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect3(session=session()) as client:
        streams = [client.send("POST", key=key, body=b"x" * 1000) for key in (alice, bob, stranger)]
        client.connect()
        t.ok(wait_for(lambda: proxy.count("HMGET") == 3), "three are parked")
        client.wait_until(lambda: client.early is not None)
        late = client.send(key=carol)
        t.ok(wait_for(lambda: proxy.count("HMGET") == 4), "and one behind the handshake")
        gate.open()
        answers = client.wait(*streams, late)
        t.is_([r.status for r in answers], [200, 200, 401, 200], "all are answered")
        t.is_([r.saw("X-User-Id") for r in answers if r.status == 200], [["alice"], ["bob"], ["carol"]], "each as himself")
        t.is_([r.json["body"] for r in answers[:2]], ["x" * 1000] * 2, "with their bodies")

    # Given up while it is parked.
    before, gate = len(nginx.wait_requests(9)), Gate()
    proxy.forget()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect3(session=session()) as client:
        given_up = client.send(key=alice)
        client.connect()
        wait_for(lambda: proxy.count("HMGET") == 1)
        client.reset(given_up)
        t.is_(nginx.wait_requests(before + 1)[before:][0]["status"], 499, "one that is given up while it is parked")
        gate.open()
        t.is_(client.request(key=bob).saw("X-User-Id"), ["bob"], "the connection serves on")
