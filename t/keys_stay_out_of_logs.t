#!/usr/bin/python3
# At the level that we ship (notice) no byte of a key reaches a log; at info nginx itself writes a doubled one out.
# Hazards: P3, P14

import re

from lib.apikeytest import Key, Test, make_key_text
from lib.apikeytest.places import REPO

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    log_format everything '$remote_user|$request_method|$status|$api_key_id|$api_key_user|$api_key_name|$api_key_prefix'
                          '|$api_key_scopes|$api_key_status';
    access_log %DIR%/variables.log everything;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        location / { include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location /scoped/ { api_key_require admin; proxy_pass http://%UPSTREAM%; }
        location /basic/ { satisfy any; auth_basic "x"; auth_basic_user_file %DIR%/nobody; proxy_pass http://%UPSTREAM%; }
        location /parent/ { api_key off; auth_request /child/; proxy_pass http://%UPSTREAM%; }
        location /child/ { proxy_pass http://%UPSTREAM%; }
    }
}
"""


def ask_everything(nginx, key, others=()):
    """Every way to be refused or let through that a key can meet."""
    bearer = ("Authorization", f"Bearer {key.key}")
    for path in ("/", "/scoped/", "/basic/"):
        nginx.get(path, key)
    nginx.get("/", headers=[bearer, bearer])
    nginx.get("/", headers=[("Authorization", f"Bearer {key.key} {key.key}")])
    nginx.get("/", headers=[("Authorization", f"Bearer {key.key}\x01")])
    nginx.get("/", headers=[("Authorization", f"Digest {key.key}")])
    nginx.get("/", headers=[("Cookie", f"token={key.key}"), ("X-Api-Key", key.key)])
    nginx.get("/", method="POST", body=f"access_token={key.key}".encode())
    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        client.request(headers=[("authorization", f"Bearer {key.key}")] * 2)
    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        client.request(headers=[("authorization", f"Bearer {key.key}\n")])
    for other in others:
        nginx.get("/", other)


with Test() as t:
    alice, late, stranger = t.key(user="alice", scopes="chat"), t.key(user="late", expires=1), t.key()
    redis = t.redis(keys=[alice, late])
    upstream = t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    ask_everything(nginx, alice, [late, stranger])
    for path in ("/?access_token=", "/basic/?access_token=", "/scoped/?key=", "/parent/?access_token="):
        nginx.get(path + alice.key)        # nginx writes no line of its own here; we write one about the last
    t.ok(nginx.wait_log("a subrequest entered the protected location"), "a line that a request caused")

    redis.stop()
    ask_everything(nginx, alice)
    t.like(nginx.log(), "Redis at .* cannot be used", "and one that Redis caused")
    t.ok(len(nginx.wait_requests(26)) >= 26, "and many in the access log")
    for path in ("error.log", "variables.log"):
        with open(f"{nginx.folder}/{path}", encoding="latin-1") as file:
            t.unlike(file.read(), f"{alice.key[12:24]}|{alice.hash[:16]}|{stranger.key[12:24]}|{late.key[12:24]}",
                     f"{path} has no part of a key or its digest, but for the shown prefix")

    known = Key(make_key_text())           # not registered: this one is expected in a log
    loud = t.nginx(CONF, redis=redis, upstream=upstream, log_level="info")
    loud.get("/", headers=[("Authorization", f"Bearer {known.key}")] * 2)
    t.ok(loud.wait_log(f"duplicate header line.*{known.key}"), "at info nginx writes a doubled Authorization into the log")

    shipped = (REPO / "conf" / "nginx.conf").read_text(encoding="utf-8")
    levels = re.findall(r"^\s*error_log\s+\S+\s*(\w*)\s*;", shipped, re.M)
    t.ok(levels and not {"info", "debug"} & set(levels), "conf/nginx.conf logs at notice or above", levels)
