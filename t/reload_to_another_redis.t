#!/usr/bin/python3
# What one Redis said is used for no other: a reload that names another Redis, database or prefix begins with an empty cache,
# while the old workers go on with theirs; a reload back begins anew as well.
# Hazards: N16, N18

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %URL%;
    api_key_redis_prefix %PREFIX%;
    api_key_cache valid=1h invalid=0;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""

with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    redis, other = t.redis(keys=[alice], port=True), t.redis(keys=[bob], port=True)
    url = f"redis://127.0.0.1:{redis.port}/0"
    nginx = t.nginx(CONF, url=url, prefix="apikey:")

    def is_cached():
        """alice's key, in every worker that may answer."""
        nginx.wait_watching(2)
        before = nginx.metrics()['cache_requests_total{result="hit"}']
        statuses = {nginx.get("/", alice).status for _ in range(20)}
        return statuses == {200} and wait_for(
            lambda: nginx.metrics()['cache_requests_total{result="hit"}'] - before == 20, 2) is not None

    def hits():
        return nginx.metrics()['cache_requests_total{result="hit"}']

    nginx.wait_watching(2)
    nginx.get("/", alice)
    t.ok(wait_for(is_cached), "the key is cached")
    t.ok(nginx.reload(), "a reload that changes nothing")
    t.ok(is_cached(), "it still is")

    for name, values in (("another prefix", {"url": url, "prefix": "staging:"}),
                         ("another database", {"url": f"redis://127.0.0.1:{redis.port}/1", "prefix": "apikey:"}),
                         ("another Redis", {"url": f"redis://127.0.0.1:{other.port}/0", "prefix": "apikey:"})):
        nginx.write_config(**values)
        t.ok(nginx.reload(), f"{name}: a reload")
        nginx.wait_watching(2)
        expected = 401 if name == "another Redis" else 503    # nobody's there; or never filled
        t.is_({nginx.get("/", alice).status for _ in range(20)}, {expected}, f"{name}: her key is not known there")
        t.is_(hits(), 0, f"{name}: the cache is a new one")
        nginx.write_config(url=url, prefix="apikey:")
        t.ok(nginx.reload(), f"{name}: a reload back")
        nginx.wait_watching(2)
        t.is_(hits(), 0, f"{name}: and a new cache again")
        t.is_(nginx.get("/", alice).status, 200, f"{name}: where she is looked up")
