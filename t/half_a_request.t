#!/usr/bin/python3
# A client that leaves, falls silent or errs before its headers are complete causes no lookup.
# Hazards: P28

import time

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    client_header_timeout 300ms;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    alice = t.key(user="alice")
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)
    t.is_(nginx.get("/", alice).status, 200, "a whole request is let through")
    redis_proxy.forget()
    baseline = nginx.fds()

    whole = request_bytes(key=alice)
    for end in range(1, len(whole)):
        client = nginx.connect()
        client.send(whole[:end])
        client.reset() if end % 2 else client.close()
    t.ok(True, f"gone after each of {len(whole) - 1} bytes")

    with nginx.connect() as client:
        client.send(whole[:-2])
        t.is_(client.rest(), b"", "silent before the last line: closed after client_header_timeout")
    with nginx.connect() as client:
        client.send(whole[:-2] + b"no header line at all\r\n\r\n")
        t.is_(client.response().status, 400, "a broken line behind the key: nginx's 400")
    with nginx.connect() as client:
        client.send(whole + whole[:-2])
        t.is_(client.response().status, 200, "a whole request with half a one behind it")
        client.close()

    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        client.request(path="/", headers=[("x-other", "1")])
        # HEADERS without END_HEADERS, and no CONTINUATION: the key is in the part that came (HPACK, never indexed).
        field = b"\x10\x0dauthorization" + bytes([len(alice.key) + 7]) + f"Bearer {alice.key}".encode()
        block = b"\x82\x86\x84" + field    # GET, http, /
        client.socket.sendall(len(block).to_bytes(3, "big") + b"\x01\x01" + (3).to_bytes(4, "big") + block)
        time.sleep(0.05)
    t.fds_return(nginx, baseline)
    t.is_(redis_proxy.count("HMGET"), 1, "one lookup: that of the whole request")
    t.is_(len(upstream.requests), 2, "the upstream saw the whole ones alone")
