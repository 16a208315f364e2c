#!/usr/bin/python3
# A key is rotated with an overlap: the old and the new one work on every worker until it ends, then the old one on none,
# though it is cached and nobody says anything any more.
# Hazards: C14

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=1h invalid=1h;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
        location = /pid { return 200 $pid; }
    }
}
"""
OVERLAP = 3

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy)
    workers = list(nginx.connect_each(2).values())
    nginx.wait_watching(2)

    def ask(key):
        """(status, code) at each of the workers."""
        answers = [worker.request(headers={"Authorization": f"Bearer {key}"}) for worker in workers]
        return [(answer.status, answer.code if answer.status == 401 else None) for answer in answers]

    old = daemon.ctl("keys", "create", "--user", "u", "--name", "k", json=True)
    t.secret(old["key"])
    t.is_(ask(old["key"]), [(200, None)] * 2, "a key, cached")
    new = daemon.ctl("keys", "rotate", old["id"], "--overlap", f"{OVERLAP}s", json=True)
    rotated = time.time()
    t.secret(new["key"])
    t.ok(new["inForce"], "rotated: in force", new)
    t.is_((ask(old["key"]), ask(new["key"])), ([(200, None)] * 2,) * 2, "both work")

    daemon.stop()                                      # nobody will say that its time is over
    proxy.forget()
    served = rotated
    while (answers := ask(old["key"])) == [(200, None)] * 2 and time.time() < rotated + 2 * OVERLAP:
        served = time.time()
        time.sleep(0.01)
    refused = time.time()
    t.ok(wait_for(lambda: ask(old["key"]) == [(401, "expired_api_key")] * 2, 1), "then the old one is refused", answers)
    t.ok(served <= rotated + OVERLAP + 1, "when its time is over", served - rotated)
    t.ok(refused >= rotated + OVERLAP - 1.5, "and not before", refused - rotated)
    t.is_(ask(new["key"]), [(200, None)] * 2, "the new one works on")
    t.is_(proxy.count("HMGET"), 0, "by what the workers know themselves")
