#!/usr/bin/python3
# Proxy-Authorization is no place for a key and does not disturb one; conf/api_key_params keeps it from the upstream.
# Hazards: P27, V18

from lib.apikeytest import Test
from lib.apikeytest.recorders import FastCgi, Grpc, Scgi, Uwsgi

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
        location /         { proxy_pass http://%UPSTREAM%; }
        location /fastcgi/ { fastcgi_pass %FASTCGI%; }
        location /uwsgi/   { uwsgi_pass %UWSGI%; }
        location /scgi/    { scgi_pass %SCGI%; }
        location /grpc/    { grpc_pass %GRPC%; }
    }
}
"""

with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob])), t.upstream()
    others = {"fastcgi": FastCgi(t), "uwsgi": Uwsgi(t), "scgi": Scgi(t), "grpc": Grpc(t)}
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream, **others)

    for value in (f"Bearer {alice.key}", "Basic YTpi", alice.key):
        r = nginx.get("/", headers={"Proxy-Authorization": value})
        t.is_((r.status, r.code), (401, "missing_api_key"), "alone it is as no key at all")
    t.is_(redis_proxy.count("HMGET"), 0, "and nothing is looked up")

    forged = {"Proxy-Authorization": f"Bearer {alice.key}"}
    r = nginx.get("/", bob, forged)
    t.is_((r.saw("X-User-Id"), r.saw("Proxy-Authorization"), r.saw("Authorization")), (["bob"], [], []),
          "beside a good key it changes nothing and is not forwarded")
    r = nginx.get("/", "a b", forged)
    t.is_((r.status, r.code), (401, "malformed_api_key"), "nor does it beside a bad one")
    for name, other in others.items():
        r = nginx.get(f"/{name}/", bob, forged)
        t.is_(r.status, 200, f"{name}: let through")
        received = str(other.requests[-1])
        t.ok("bob" in received and alice.key not in received and bob.key not in received,
             f"{name}: the upstream knows who asks, and no key", received.replace(alice.key, "KEY").replace(bob.key, "KEY"))
