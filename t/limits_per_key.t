#!/usr/bin/python3
# api_key_phase preaccess: the key is known before limit_req and limit_conn count, so that each key has a limit of its own;
# before allow and deny; and outside of satisfy. The default phase leaves what deny refuses without a lookup.

from lib.apikeytest import Test, delay, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=2s;
    limit_req_zone  $api_key_id zone=per_key:1m rate=1r/m;
    limit_conn_zone $api_key_id zone=at_once:1m;
    limit_req_status 429;
    limit_conn_status 429;
    api_key "test";
    server {
        listen 127.0.0.1:%PORT%;
        location /limited/ { api_key_phase preaccess; limit_req zone=per_key burst=1 nodelay; alias %DIR%/; }
        location /access/  { limit_req zone=per_key; proxy_pass http://%UPSTREAM%; }
        location /few/     { api_key_phase preaccess; limit_conn at_once 1; proxy_pass http://%UPSTREAM%; }
        location /denied/  { api_key_phase preaccess; deny all; empty_gif; }
        location /late/    { deny all; empty_gif; }
        location /any/     { api_key_phase preaccess; satisfy any; allow all; empty_gif; }
        location /public/  { api_key off; empty_gif; }
    }
}
"""

with Test() as t:
    alice, bob, nobody = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice, bob])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)

    def statuses(path, key, times):
        return [nginx.get(path, key).status for _ in range(times)]

    t.is_(statuses("/limited/nginx.conf", alice, 4), [200, 200, 429, 429], "one key: two requests, then its limit")
    t.is_(statuses("/limited/nginx.conf", bob, 3), [200, 200, 429], "another key has its own")
    t.is_(statuses("/limited/nginx.conf", nobody, 4), [401] * 4, "an unknown key is refused, and no limit counts it")
    t.is_([x["key_status"] for x in nginx.wait_requests(11)[7:]], ["invalid"] * 4, "as invalid")

    t.is_(statuses("/access/", alice, 3), [200] * 3, "in the access phase limit_req does not know the key yet")

    upstream.delay = 0.5
    with nginx.connect() as first, nginx.connect() as second, nginx.connect() as third:
        for client, key in ((first, alice), (second, alice), (third, bob)):
            client.send(f"GET /few/ HTTP/1.1\r\nHost: t\r\n{key.bearer[0]}: {key.bearer[1]}\r\n\r\n".encode())
        t.is_(sorted([first.response().status, second.response().status]), [200, 429], "limit_conn: one at once of a key")
        t.is_(third.response().status, 200, "and one of another")

    proxy.forget()
    t.is_(nginx.get("/denied/", nobody).status, 401, "preaccess: before deny")
    t.is_(nginx.get("/denied/", alice).status, 403, "and deny holds for a good key")
    t.is_(proxy.count("HMGET"), 2, "which costs a lookup")
    t.is_(nginx.get("/late/", nobody).status, 403, "access: after deny")
    t.is_(proxy.count("HMGET"), 2, "which costs none")
    t.is_((nginx.get("/any/", nobody).status, nginx.get("/any/", alice).status), (401, 200),
          "outside of satisfy: allow does not let a refused key in")
    t.is_(nginx.get("/any/", nobody).code, "invalid_api_key", "with the problem document")
    t.is_(nginx.get("/public/").status, 200, "where no key is required, none is")

    proxy.on("HMGET", delay(0.3), nth=1)
    with nginx.connect() as leaver:
        leaver.send(f"GET /denied/ HTTP/1.1\r\nHost: t\r\n{alice.bearer[0]}: {alice.bearer[1]}\r\n\r\n".encode())
        wait_for(lambda: proxy.count("HMGET") >= 4)
    t.ok(wait_for(lambda: nginx.requests()[-1]["status"] == 499), "a client that leaves while parked there: 499")
    t.is_(nginx.get("/any/", bob).status, 200, "and the next is served")
