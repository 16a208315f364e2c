#!/usr/bin/python3
# A refusal over HTTP/3 is the one of HTTP/1.1, challenge and problem document; the body of its request is thrown away, never read as
# a request, and the connection serves on.
# Hazards: P21

from lib.apikeytest import Test, delay, need_http3, request_bytes
from lib.apikeytest.tls import certificate

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    gzip          on;
    gzip_types    *;
    charset       utf-8;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        add_header X-Always yes always;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
            location /scoped/ { api_key_require admin; proxy_pass http://%UPSTREAM%; }
        }
        location /page/ { api_key "test"; error_page 401 /refused; proxy_pass http://%UPSTREAM%; }
        location = /refused { return 418 "none of yours"; }
    }
}
"""

need_http3()

with Test() as t:
    alice, bob, late, stranger = t.key(user="alice", scopes="chat"), t.key(user="bob"), t.key(expires=1), t.key()
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob, late])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream, certificate=certificate(t.folder))
    refusals = {"no key": (None, "/", 401), "malformed": ("a b", "/", 401), "unknown": (stranger, "/", 401),
                "expired": (late, "/", 401), "no scope": (alice, "/scoped/", 403)}
    client = nginx.connect3()

    def compare(case, key, path, status):
        """The answer of HTTP/3 beside that of HTTP/1.1, for each method."""
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
            got, want = client.request(method, path, key), nginx.get(path, key, method=method)
            fields = [(h, got.all(h), want.all(h)) for h in ("WWW-Authenticate", "Retry-After", "Content-Type", "Content-Length",
                                                             "Content-Encoding", "X-Always", "ETag")]
            t.is_((got.status, want.status), (status, status), f"{case}, {method}: status")
            t.ok(all(over3 == over1 for _, over3, over1 in fields), f"{case}, {method}: headers", fields)
            t.is_(got.body, want.body, f"{case}, {method}: body")
        document = client.request("GET", path, key)
        t.ok(document.code and document.header("Content-Length") == str(len(document.body)), f"{case}: {document.code}", document)

    for case, (key, path, status) in refusals.items():
        compare(case, key, path, status)
    t.is_(client.request(path="/page/").text, "none of yours", "a page of one's own takes its place")

    smuggled = request_bytes("GET", "/smuggled", alice)
    bodies = {"short": b"x=1", "a request": smuggled, "long": smuggled * (200_000 // len(smuggled)), "very long": b"x" * 2_000_000}

    def ask(client, how):
        """Every refusal with every body, a good request beside it; what was answered otherwise than it should be."""
        wrong = []
        for case, (key, path, status) in refusals.items():
            for kind, body in bodies.items():
                if how == "in one go":
                    refused = client.send("POST", path, key, body=body)
                else:                              # the body is on its way while the answer is
                    refused = client.send("POST", path, key, open_end=body[:1])
                    if how == "after the answer":
                        client.wait_until(lambda: client.begun(refused))
                    client.more(refused, body[1:], end=True)
                after = client.send("GET", "/next", bob)
                client.wait_until(lambda: client.begun(refused) and after in client.responses)
                got, after = client.begun(refused), client.responses.get(after)
                if after is None or (got.status, got.code, after.status) != (status, got.code, 200) or after.saw("X-User-Id") != ["bob"]:
                    wrong.append(f"{case}, {kind}: {got} {after} {client.resets} {client.closed}")
        t.ok(not wrong, f"bodies {how}", *wrong)

    ask(client, "in one go")
    ask(client, "in two")
    ask(client, "after the answer")
    redis_proxy.on("HMGET", delay(0.02))
    ask(client, "in two")
    redis_proxy.clear()
    client.close()
    t.is_({(x["method"], x["path"]) for x in upstream.requests}, {("GET", "/next")}, "the upstream saw the good ones alone")

    redis_proxy.refuse()
    redis_proxy.close_all()
    client = nginx.connect3()
    compare("no Redis", alice, "/", 503)
    client.close()
