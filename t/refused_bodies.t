#!/usr/bin/python3
# The body of a refused request is thrown away, never read as a request, and the request behind it is answered.
# Hazards: P21

from lib.apikeytest import Test, chunk, delay, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
            location /scoped/ { api_key_require admin; proxy_pass http://%UPSTREAM%; }
        }
    }
}
"""


def chunked(body, size):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(map(chunk, pieces)) + chunk(b"")


with Test() as t:
    alice, bob, stranger = t.key(user="alice", scopes="chat"), t.key(user="bob"), t.key()
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    smuggled = request_bytes("GET", "/smuggled", alice)
    bodies = {"short": b"x=1", "a request": smuggled, "long": smuggled * (200_000 // len(smuggled)),
              "a chunk that ends early": b"0\r\n\r\n" + smuggled}
    refusals = {"no key": (None, "/", 401), "malformed": ("a b", "/", 401), "unknown": (stranger, "/", 401),
                "no scope": (alice, "/scoped/", 403)}

    def ask(wait, framing):
        """Every refusal with every body, a good request behind; what was answered otherwise than it should be."""
        wrong = []
        for refusal, (key, path, status) in refusals.items():
            for kind, body in bodies.items():
                if framing == "length":
                    request = request_bytes("POST", path, key, body=body)
                else:
                    request = request_bytes("POST", path, key, [("Transfer-Encoding", "chunked")]) + chunked(body, 4000)
                with nginx.connect() as client:
                    if wait:               # the body is on its way while the answer is
                        head = request.index(b"\r\n\r\n") + 4
                        client.send(request[:head])
                        got = client.response()
                        client.send(request[head:] + request_bytes("GET", "/next", bob))
                    else:
                        client.send(request + request_bytes("GET", "/next", bob))
                        got = client.response()
                    after = client.response()
                    if (got.status, after.status) != (status, 200) or after.saw("X-User-Id") != ["bob"] or \
                            not client.is_quiet(0.01):
                        wrong.append(f"{refusal}, {kind}: {got} {after}")
        return wrong

    for framing in ("length", "chunked"):
        wrong = ask(False, framing)
        t.ok(not wrong, f"{framing}, everything in one go", *wrong)
        wrong = ask(True, framing)
        t.ok(not wrong, f"{framing}, the body after the answer", *wrong)
        redis_proxy.on("HMGET", delay(0.02))
        wrong = ask(False, framing)
        t.ok(not wrong, f"{framing}, while the request is parked", *wrong)
        redis_proxy.clear()

    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        wrong = []
        for refusal, (key, path, status) in refusals.items():
            for kind, body in bodies.items():
                streams = [client.send("POST", path, key, body=body[:16000]), client.send("GET", "/next", bob)]
                got, after = client.wait(*streams)
                if (got.status, after.status) != (status, 200) or after.saw("X-User-Id") != ["bob"]:
                    wrong.append(f"{refusal}, {kind}: {got} {after}")
        t.ok(not wrong, "over HTTP/2", *wrong)

    t.is_({(x["method"], x["path"]) for x in upstream.requests}, {("GET", "/next")}, "the upstream saw the good ones alone")
    t.logged_once(nginx, 7 * len(refusals) * len(bodies) * 2)
