#!/usr/bin/python3
# The subscription to changes swallows everything and stays open, while lookups work: its unanswered PING gives it away, and
# until then the lease bounds what is cached. So a revocation is never reported as in force while a worker still goes by what
# it has cached; without any report it is refused all the same, however long `valid` is.
# Hazards: R19, R4

import time

from lib.apikeytest import Test, black_hole, wait_for
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=1h invalid=1h stale=1h;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
        location = /pid { return 200 $pid; }
    }
}
"""
ROUNDS = 4
WITHOUT_LEASE = 5.0                        # a lease lasts 1 s; valid is an hour


def ask(key):
    return [client.request(key=key).status for client in workers]


def swallow():
    """From now on no subscription hears anything, new ones neither."""
    proxy.on_request("SUBSCRIBE", black_hole())
    proxy.black_hole(kind="subscription")


def recovers():
    proxy.clear()
    proxy.close_all(kind="subscription")
    return nginx.wait_watching(2, 15)


def seconds_until_refused(key):
    begun = time.monotonic()
    t.ok(wait_for(lambda: ask(key) == [401, 401], 20), "it is refused by every worker")
    return time.monotonic() - begun


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    t.apikeyd(pg, redis)
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy)
    workers = list(nginx.connect_each(2).values())
    t.ok(nginx.wait_watching(2), "two workers hear of changes")
    baseline, application = nginx.fds(), ReceiptClient(pg)
    keys = [t.key(user=f"user-{n}") for n in range(ROUNDS + 3)]
    application.change("INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES " + ",".join(
        f"('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')" for key in keys))
    good, *keys = keys

    # apikeyd waits for the workers' leases: what it reports as in force, is.
    for key in keys[:ROUNDS]:
        t.is_(ask(key) + ask(key), [200] * 4, f"{key.user} is in the cache")
        swallow()
        seconds, figures = application.change(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")
        confirmed, expected = map(int, figures.split("/"))
        if confirmed == expected:
            t.is_(ask(key), [401, 401], f"reported as in force ({figures}, {seconds:.2f} s): refused by every worker")
        else:
            seconds_until_refused(key)
        t.ok(wait_for(lambda: ask(good) == [200, 200]), "a good key is served")
        t.ok(recovers(), "the workers hear of changes again")

    # Nobody says anything: the lease ends.
    *_, key, last = keys
    t.is_(ask(key) + ask(key), [200] * 4, f"{key.user} is in the cache")
    swallow()
    redis.revoke(key)
    took = seconds_until_refused(key)
    t.ok(took < WITHOUT_LEASE, "when the lease is over, though it would be kept for an hour", f"{took:.3f} s")
    t.note(f"refused {took:.3f} s after the subscription fell silent")
    t.ok(nginx.wait_log("the subscription to changes at .* is down: Redis does not answer"), "the log says that nothing was answered",
         nginx.log()[-600:])

    # From then on as if it were cut.
    t.ok(wait_for(lambda: nginx.metrics()["subscriptions_up"] == 0), "both workers have noticed")
    proxy.forget()
    t.is_(ask(good) + ask(good), [200] * 4, "a good key is served")
    t.is_(proxy.count("HMGET", containing=good.hash), 4, "and looked up each time")
    redis.revoke(last)
    t.is_(ask(last), [401, 401], "one that is revoked now is refused at once")
    t.ok(wait_for(lambda: not redis.workers()), "no worker says that it uses what is cached", redis.workers())
    t.ok(recovers(), "the workers hear of changes again")

    def asked_for():
        proxy.forget()
        return proxy.count("HMGET") if ask(good) == [200, 200] else None

    t.is_(wait_for(lambda: asked_for() == 0) and asked_for(), 0, "a good key is served from the cache again")
    t.fds_return(nginx, baseline)
