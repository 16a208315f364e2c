#!/usr/bin/python3
# proxy_cache in a protected location: every request is checked, also where the cache hits, and with $api_key_id in the key of
# the cache nobody gets another's page, also where somebody has looked at the variable before anybody was verified.
# Hazards: N31

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    proxy_cache_path %DIR%/cache keys_zone=pages:1m;
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=1m;
    proxy_cache_valid 200 1h;
    add_header X-Cache $upstream_cache_status always;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key         "test";
            include         %API_KEY_PARAMS%;
            proxy_cache     pages;
            proxy_cache_key "$scheme$proxy_host$request_uri $api_key_id";
            proxy_pass      http://%UPSTREAM%;
            if ($api_key_id = "too early") { return 500; }
        }
        location = /metrics { api_key_metrics; }
        location /same/ {
            api_key         "test";
            api_key_require read;
            include         %API_KEY_PARAMS%;
            proxy_cache     pages;
            proxy_cache_key "$scheme$proxy_host$request_uri";
            proxy_pass      http://%UPSTREAM%;
        }
    }
}
"""


def ask(path, key=None):
    r = nginx.get(path, key)
    return r.status, r.header("X-Cache"), "".join(r.saw("X-User-Id")) if r.status == 200 else r.code


with Test() as t:
    alice, bob, carol = t.key(user="alice", scopes="read"), t.key(user="bob", scopes="read"), t.key(user="carol", scopes="write")
    stranger, soon = t.key(), t.key(user="alice", scopes="read")
    redis, upstream = t.redis(keys=[alice, bob, carol, soon]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)
    t.ok(nginx.wait_watching(1) and wait_for(lambda: nginx.get("/warm", alice).status == 200), "keys are cached, too")
    asked = len(upstream.requests)

    for user, key in (("alice", alice), ("bob", bob)):
        t.is_(ask("/page", key), (200, "MISS", user), f"{user}'s page, made for him")
        t.is_(ask("/page", key), (200, "HIT", user), "and again, from the cache")
    t.is_(ask("/page", alice), (200, "HIT", "alice"), "hers is still hers")
    t.is_(len(upstream.requests) - asked, 2, "the upstream made one for each")

    for name, key, want in (("no key", None, "missing_api_key"), ("an unknown key", stranger, "invalid_api_key")):
        t.is_(ask("/page", key), (401, None, want), f"{name}: refused, whatever the cache holds")

    t.is_(ask("/same/", alice), (200, "MISS", "alice"), "a page for everybody who may read")
    t.is_(ask("/same/", bob), (200, "HIT", "alice"), "is shared")
    t.is_(ask("/same/", carol), (403, None, "insufficient_scope"), "but not with whom may not")
    t.is_(ask("/same/"), (401, None, "missing_api_key"), "nor with anybody")

    t.is_(ask("/page", soon)[:2], (200, "MISS"), "another key of hers has pages of its own")
    redis("DEL", f"apikey:k:{soon.hash}")
    redis("PUBLISH", "apikey:changed", f"{soon.hash} 0")
    t.ok(wait_for(lambda: ask("/page", soon) == (401, None, "invalid_api_key")), "once it is revoked, its pages are nobody's")
    t.is_(ask("/page", alice), (200, "HIT", "alice"), "hers are hers")
