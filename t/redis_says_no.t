#!/usr/bin/python3
# What Redis says ends what the cache says, also where the answer itself is not cached: when Redis goes away then, a key that
# it had refused does not come back, and one that had lost scopes does not have them back.
# Hazards: C5, C19

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %URL%;
    server {
        listen 127.0.0.1:%PORT%;
        location /stale    { api_key "test"; api_key_cache valid=1h invalid=0 stale=1h; empty_gif; }
        location /write    { api_key "test"; api_key_require write; api_key_cache valid=1h invalid=0 stale=1h; empty_gif; }
        location /uncached { api_key "test"; api_key_cache valid=0 invalid=0; empty_gif; }
    }
}
"""

with Test() as t:
    revoked, narrowed, good = t.key(user="revoked"), t.key(user="narrowed", scopes="read write"), t.key(user="good")
    redis = t.redis(keys=[revoked, narrowed, good], port=True)
    # Without SUBSCRIBE nothing is used without asking: the cache is there for the time when Redis is not.
    redis("ACL", "SETUSER", "nginx", "on", ">password", "%R~apikey:*", "+hmget", "+get", "+info", "+select")
    t.secret("password")
    nginx = t.nginx(CONF, url=f"redis://nginx:password@127.0.0.1:{redis.port}/0")
    t.ok(wait_for(lambda: [nginx.get("/write", narrowed).status, nginx.get("/stale", revoked).status,
                           nginx.get("/stale", good).status] == [200, 200, 200]), "all are let in, and cached")

    redis.revoke(revoked)
    redis("HSET", f"apikey:k:{narrowed.hash}", "scopes", "read")
    t.is_(nginx.get("/stale", revoked).status, 401, "Redis says no")
    t.is_(nginx.get("/uncached", narrowed).status, 200, "Redis says what is left of the scopes")
    redis.stop()
    t.is_(nginx.get("/stale", good).status, 200, "Redis is away: who was let in last still is")
    t.is_(nginx.get("/stale", revoked).status, 503, "who was refused last is not")
    t.is_(nginx.get("/write", narrowed).status, 503, "and no scope comes back")
