#!/usr/bin/python3
# nginx' post_action takes over a request whose client left while Redis was asked: the late answer does not touch it.
# Hazards: N1, N5

from lib.apikeytest import Test, delay, request_bytes, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        location /public/    { api_key "test"; post_action /account; empty_gif; }
        location /protected/ { api_key "test"; post_action /checked; empty_gif; }
        location /account    { proxy_pass http://%UPSTREAM%; }
        location /checked    { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def leaves(path):
    proxy.forget()
    with nginx.connect() as client:
        client.send(request_bytes(path=path, key=alice))
        wait_for(lambda: proxy.count("HMGET") == 1)


with Test() as t:
    alice, bob = t.key(user="alice"), t.key(user="bob")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)

    t.is_(nginx.get("/public/", alice).status, 200, "a request that ends as usual")
    t.ok(wait_for(lambda: [x["path"] for x in upstream.requests] == ["/account"]), "is followed by its post_action")
    worker, baseline = nginx.workers(), nginx.fds()

    # The answer comes while the post_action, which needs no key, waits for its upstream.
    upstream.delay = 0.6
    proxy.on("HMGET", delay(0.3), nth=1)
    leaves("/public/")
    t.ok(wait_for(lambda: len(upstream.requests) == 2), "the client left: the post_action begins")
    t.is_(nginx.get("/public/", bob).status, 200, "the next one on the link is answered")
    t.logged_once(nginx, 3)
    t.is_(len(upstream.requests), 3, "each post_action reached its upstream once")
    t.is_((proxy.count("HMGET"), proxy.kinds["lookups"]), (2, 1), "nobody was looked up twice")

    # A post_action that needs a key waits for the same answer.
    upstream.delay = 0
    proxy.clear()
    proxy.on("HMGET", delay(0.3), nth=1)
    leaves("/protected/")
    t.ok(wait_for(lambda: len(upstream.requests) == 4), "a post_action that needs a key")
    t.is_(upstream.saw("X-User-Id"), ["alice"], "gets the identity of who had left")
    t.is_(proxy.count("HMGET"), 1, "by the same lookup")
    t.logged_once(nginx, 4)
    t.is_(nginx.workers(), worker, "by the same worker")
    t.fds_return(nginx, baseline)
