#!/usr/bin/python3
# HTTP/1.0 without Host is authenticated as usual; HTTP/0.9, which has no headers, is answered and crashes nothing.
# Hazards: P15

import json

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        include %API_KEY_PARAMS%;
        location / { proxy_pass http://%UPSTREAM%; }
        location /arg { api_key_source header:X-Key cookie:key arg:key; proxy_pass http://%UPSTREAM%; }
        location /scoped { api_key_source arg:key; api_key_require admin; proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat"), t.key()
    redis_proxy = t.redis_proxy(t.redis(keys=[alice]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())

    def ask(text):
        with nginx.connect() as client:
            client.send(text)
            return client.rest() if text.endswith("\r\n") and "HTTP" not in text else client.response()

    r = ask(f"GET / HTTP/1.0\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
    t.is_((r.status, r.saw("X-User-Id")), (200, ["alice"]), "HTTP/1.0: a good key")
    r = ask("GET / HTTP/1.0\r\n\r\n")
    t.is_((r.status, r.code, r.header("WWW-Authenticate"), r.header("Connection")),
          (401, "missing_api_key", 'Bearer realm="test"', "close"), "HTTP/1.0: no key")
    r = ask(f"GET / HTTP/1.0\r\nAuthorization: Bearer {stranger.key}\r\n\r\n")
    t.is_((r.status, r.code, r.whole), (401, "invalid_api_key", True), "HTTP/1.0: an unknown key")
    t.is_(int(r.header("Content-Length")), len(r.body), "HTTP/1.0: with a length")
    with nginx.connect() as client:
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        first = client.response()
        client.send(f"GET / HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
        second = client.response()
    t.is_((first.status, second.status, second.saw("X-User-Id")), (401, 200, ["alice"]), "HTTP/1.0: one after another")

    def code09(body):
        return json.loads(body)["code"]    # no status line and no headers: the document is all there is

    t.is_(code09(ask("GET /\r\n")), "missing_api_key", "HTTP/0.9: no place for a key")
    t.is_(code09(ask("GET /arg\r\n")), "missing_api_key", "HTTP/0.9: no key in any place")
    t.is_(code09(ask(f"GET /arg?key={stranger.key}\r\n")), "invalid_api_key", "HTTP/0.9: an unknown key")
    t.is_(code09(ask(f"GET /scoped?key={alice.key}\r\n")), "insufficient_scope", "HTTP/0.9: a scope is missing")
    body = ask(f"GET /arg?key={alice.key}\r\n")
    t.like(body.decode(), '"X-User-Id", "alice"', "HTTP/0.9: a good key in the query")
    redis_proxy.refuse()
    redis_proxy.close_all()
    t.is_(code09(ask(f"GET /arg?key={alice.key}\r\n")), "api_key_unavailable", "HTTP/0.9: without Redis")
    statuses = [x["key_status"] for x in nginx.wait_requests(11)]
    t.is_(statuses, ["valid", "missing", "invalid", "missing", "valid", "missing", "missing", "invalid", "forbidden",
                     "valid", "unavailable"], "each is logged once, with its status")
