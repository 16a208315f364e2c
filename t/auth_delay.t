#!/usr/bin/python3
# nginx' auth_delay holds our 401 back, not 200, 403 and 503; whoever leaves while parked or delayed is noticed at once.
# Hazards: N13, N1

from lib.apikeytest import Gate, Test, request_bytes, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    auth_delay    2s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location /scope { api_key "test"; api_key_require admin; empty_gif; }
    }
}
"""
LATE = 1.8                                 # seconds: nearly all of the delay, and more than any machine needs for an answer

with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat"), t.key(user="nobody")
    proxy = t.redis_proxy(t.redis(keys=[alice]))
    nginx = t.nginx(CONF, redis=proxy)
    nginx.get("/", alice)
    baseline = nginx.fds()

    asked = [("/", alice), ("/", stranger), ("/", None), ("/scope", alice)]
    answers = [nginx.get(path, key) for path, key in asked]
    t.is_([(r.status, r.code) for r in answers], [(200, None), (401, "invalid_api_key"), (401, "missing_api_key"),
                                                  (403, "insufficient_scope")], "the answers are as ever")
    took = [x["time"] for x in nginx.wait_requests(5)[1:]]
    t.is_([time > LATE for time in took], [False, True, True, False], "401 comes late", took)
    t.is_(proxy.count("HMGET"), 4, "after one lookup each")

    with nginx.connect() as client:
        client.send(request_bytes(key=stranger))
        wait_for(lambda: proxy.count("HMGET") == 5)
        t.ok(client.is_quiet(0.2), "while it is delayed")
    logged = nginx.wait_requests(6)[5]
    t.ok(logged["status"] == 499 and logged["time"] < LATE, "a client that leaves is noticed", logged)

    gate = Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect() as client:
        client.send(request_bytes(key=stranger))
        wait_for(lambda: proxy.count("HMGET") == 6)
    logged = nginx.wait_requests(7)[6]
    t.is_(logged["status"], 499, "also while Redis is asked")
    gate.open()
    t.is_(nginx.get("/", alice).status, 200, "the next one on the link is answered")
    t.logged_once(nginx, 8)
    t.fds_return(nginx, baseline)
