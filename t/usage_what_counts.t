#!/usr/bin/python3
# What counts as usage, by answer: every answer to a request whose key was verified counts once, as a success below 400 and as
# an error from there; what was refused for its key is nobody's.
# Hazards: U2, P16, P17

from lib.apikeytest import Test
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;               # room for all these labels
    api_key_redis %REDIS% timeout=200ms;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        root %DIR%;
        location /get     { try_files /nginx.conf =500; }
        location /empty   { proxy_pass http://127.0.0.1:%PORT_U%/200; }
        location /head    { try_files /nginx.conf =500; }
        location /options { proxy_pass http://127.0.0.1:%PORT_U%/200; }
        location /post    { proxy_pass http://127.0.0.1:%PORT_U%/201; }
        location /204     { proxy_pass http://127.0.0.1:%PORT_U%/204; }
        location /206     { try_files /nginx.conf =500; }
        location /multi   { try_files /nginx.conf =500; }
        location /304     { if_modified_since before; try_files /nginx.conf =500; }
        location /302     { proxy_pass http://127.0.0.1:%PORT_U%/302; }
        location /404     { proxy_pass http://127.0.0.1:%PORT_U%/404; }
        location /416     { try_files /nginx.conf =500; }
        location /500     { proxy_pass http://127.0.0.1:%PORT_U%/500; }
        location /502     { proxy_pass http://127.0.0.1:1; }
        location /missing { }
        location /none    { return 200 "answered before anybody looked at the key"; }
        location /refused { empty_gif; }
        location /403     { api_key_require admin; empty_gif; }
        location /503     { empty_gif; }
        location /large   { client_max_body_size 1; proxy_pass http://127.0.0.1:%PORT_U%/200; }
        location /public  { api_key off; empty_gif; }
    }
    server {
        listen 127.0.0.1:%PORT_U%;
        access_log off;
        location /200 { return 200; }
        location /201 { return 201 "made"; }
        location /204 { return 204; }
        location /302 { return 302 /elsewhere; }
        location /404 { return 404; }
        location /500 { return 500; }
    }
}
"""

# path, what is asked, the status of the answer, what it counts as (None: nothing)
TABLE = [
    ("/get", {}, 200, "success"),
    ("/empty", {}, 200, "success"),
    ("/head", {"method": "HEAD"}, 200, "success"),
    ("/options", {"method": "OPTIONS"}, 200, "success"),
    ("/post", {"method": "POST", "body": b"x" * 100}, 201, "success"),
    ("/204", {}, 204, "success"),
    ("/206", {"headers": {"Range": "bytes=1-5"}}, 206, "success"),
    ("/multi", {"headers": {"Range": "bytes=1-5,7-9"}}, 206, "success"),
    ("/304", {"headers": {"If-Modified-Since": "Wed, 01 Jan 2200 00:00:00 GMT"}}, 304, "success"),
    ("/302", {}, 302, "success"),
    ("/404", {}, 404, "error"),
    ("/416", {"headers": {"Range": "bytes=999999-"}}, 416, "error"),
    ("/500", {}, 500, "error"),
    ("/502", {}, 502, "error"),
    ("/missing", {}, 404, "error"),
    ("/large", {"method": "POST", "body": b"xx"}, 413, None),
    ("/none", {}, 200, None),
    ("/public", {}, 200, None),
]

with Test() as t:
    alice, reader, expired, stranger = t.key(user="alice"), t.key(user="reader", scopes="read"), t.key(user="old", expires=1), t.key()
    redis = t.redis(keys=[alice, reader, expired])
    nginx = t.nginx(CONF, redis=redis)
    expected = {}

    def ask(path, want, counts, key=alice, **question):
        t.is_(nginx.get(path, key, **question).status, want, f"{question.get('method', 'GET')} {path}: {want}")
        if counts:
            name = (key.user, path, counts)
            expected[name] = expected.get(name, 0) + 1

    for path, question, status, counts in TABLE:
        for _ in range(2):
            ask(path, status, counts, **question)
    ask("/refused", 401, None, key=None)
    ask("/refused", 401, None, key="not a key")
    ask("/refused", 401, None, key=stranger)
    ask("/refused", 401, None, key=expired)
    ask("/refused", 401, None, key=None, method="OPTIONS")
    ask("/refused", 401, None, key=stranger, method="HEAD")
    ask("/403", 403, "error", key=reader)          # the key is known, and lacks a scope

    # An answer of HTTP/1.0 and one of HTTP/0.9, which has neither status nor header.
    for version, first in (("1.0", b"HTTP/1.1 200 OK"), ("", b"GIF89a")):
        if version:
            request = f"GET /refused HTTP/{version}\r\nAuthorization: Bearer {alice.key}\r\n\r\n"
        else:
            request = "GET /public\r\n"            # 0.9 has no header, and so no key
        with nginx.connect() as client:
            client.send(request)
            t.ok(client.rest().startswith(first), f"HTTP/{version or '0.9'}")
    expected["alice", "/refused", "success"] = 1

    total = usage.wait_counted(redis, sum(expected.values()))
    t.is_(total, sum(expected.values()), "in all")
    found = usage.by(redis, "user", "endpoint", "status")
    for name in sorted(set(expected) | set(found)):
        t.is_(found.get(name), expected.get(name), f"counted: {' '.join(name)}")
    t.is_(usage.by(redis, "model", "tokens_in", "tokens_out", "cost"), {("", 0, 0, None): total}, "nothing is known of models or cost")
    t.is_(set(usage.by(redis, "user", "key_id")), {("alice", alice.id), ("reader", reader.id)}, "under the key that was sent")

    # What cannot be known is nobody's.
    redis.process.pause()
    t.is_(nginx.get("/503", alice).status, 503, "Redis is silent: 503")
    redis.process.resume()
    t.ok(usage.wait_counted(redis, total + 1, timeout=1) == total, "which counts nothing")
