#!/usr/bin/python3
# The subscription to changes is cut and cannot be made again, while lookups work: from then on every key is looked up before it
# is used, so that a revoked one is refused at once though it is cached, and a good one is served. When lookups fail as
# well, what is cached serves until `valid` and `stale` end. When the subscription is back, so is the cache.
# Hazards: R18

import itertools
import time

from lib.apikeytest import Test, close, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key "test";
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location /      { api_key_cache valid=1h invalid=1h; empty_gif; }
        location /short { api_key_cache valid=2s invalid=1h stale=1s; empty_gif; }
        location = /metrics { api_key off; api_key_metrics; }
        location = /pid { api_key off; return 200 $pid; }
    }
}
"""
HIT, MISS, STALE = "hit", "miss", "stale"
number = itertools.count()                 # of the request, which tells its line in the log
BOUND = 3.0                                # valid + stale of /short
TURN = 0.05                                # nginx reads its clock once per turn of its event loop


def ask(key, path=""):
    """[(status, what the log says of the cache)] at each worker."""
    shown = []
    for client in workers:
        uri = f"{path}/{next(number)}"
        status = client.request(path=uri, key=key).status
        shown.append((status, wait_for(lambda uri=uri: [x["cache"] for x in nginx.requests() if x["uri"] == uri])[0]))
    return shown


def lookups(key):
    return proxy.count("HMGET", containing=key.hash)


def all_deaf():
    return nginx.metrics()["subscriptions_up"] == 0


with Test() as t:
    alice, bob, carol, nobody, new = (t.key(user=name) for name in ("alice", "bob", "carol", "nobody", "new"))
    redis = t.redis(keys=[alice, bob, carol])
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy)
    workers = list(nginx.connect_each(2).values())
    t.ok(nginx.wait_watching(2), "two workers hear of changes")
    for key, status in ((alice, 200), (bob, 200), (carol, 200), (nobody, 401), (new, 401)):
        cached = [(status, HIT if status == 200 else "negative")] * 2
        t.ok(wait_for(lambda: ask(key) == cached), f"{key.user} is in the cache")

    # Cut, once: it comes back, and what was cached before is looked up before it is used.
    lost, up = nginx.metrics()["subscription_failures_total"], proxy.kinds["subscription"]
    proxy.close_all(kind="subscription")
    t.ok(wait_for(lambda: nginx.metrics()["subscription_failures_total"] >= lost + 2), "the subscriptions are cut")
    redis.revoke(carol)                    # whether anybody heard of it or not
    t.ok(wait_for(lambda: proxy.kinds["subscription"] >= up + 2) and nginx.wait_watching(2), "they are made again")
    t.is_([status for status, _ in ask(carol)], [401, 401], "what changed meanwhile is noticed, though nobody says so")
    t.is_(ask(alice)[0], (200, MISS), "a good key is looked up, and served")
    t.ok(wait_for(lambda: ask(alice) == [(200, HIT)] * 2), "and is in the cache again")

    # Cut for good.
    ask(bob)
    proxy.on_request("SUBSCRIBE", close())
    proxy.close_all(kind="subscription")
    t.ok(wait_for(all_deaf), "the subscriptions are cut, and cannot be made again")
    redis.revoke(bob)
    redis.add(new)
    redis.announce(bob, new)
    t.is_(ask(bob), [(401, MISS)] * 2, "a key that is revoked now is refused at once, by each worker")
    t.is_(ask(new), [(200, MISS)] * 2, "a key that is created now is served at once")
    proxy.forget()
    t.is_(ask(alice) + ask(alice), [(200, MISS)] * 4, "a good key is served")
    t.is_(lookups(alice), 4, "but looked up each time")
    t.is_(ask(nobody) + ask(nobody), [(401, MISS)] * 4, "an unknown key is refused")
    t.is_(lookups(nobody), 4, "and looked up each time")
    t.ok(nginx.wait_log(r"\[error\].*the subscription to changes at .* is down: .*; cached keys are looked up before they are used"),
         "the log says so", nginx.log()[-500:])
    lines = [line for line in nginx.log().splitlines() if "subscription to changes" in line and "is down" in line]
    t.ok(len(lines) <= 8, "in few lines", *lines)

    # And lookups fail, too.
    t.is_(ask(alice, "/short"), [(200, MISS)] * 2, "where little is kept she is served as well")
    looked_up = time.monotonic()
    proxy.refuse()
    proxy.close_all()
    t.ok(wait_for(lambda: nginx.metrics()["links_up"] == 0), "lookups fail as well")
    t.is_(ask(alice), [(200, HIT)] * 2, "what is cached serves within valid")
    t.is_([status for status, _ in ask(bob) + ask(nobody)], [503] * 4, "nothing else is known of anybody")
    seen, served = set(), looked_up
    while time.monotonic() < looked_up + 10 * BOUND:
        begun = time.monotonic()
        answers = ask(alice, "/short")
        seen |= {cache for status, cache in answers if status == 200}
        served = begun if (200 in dict(answers)) else served
        if answers == [(503, MISS)] * 2:
            break
    t.is_(answers, [(503, MISS)] * 2, "where little is kept she is not known any more in the end")
    t.ok(served - looked_up < BOUND + TURN, "when valid + stale are over", f"{served - looked_up:.3f} s")
    t.is_(seen - {HIT}, {STALE}, "and after valid it was said to be stale")

    # Everything works again.
    proxy.clear()
    proxy.accept()
    t.ok(nginx.wait_watching(2, 10), "everything works again")
    t.is_([status for status, _ in ask(alice)], [200] * 2, "the good key is served")
    t.ok(wait_for(lambda: ask(alice) == [(200, HIT)] * 2), "from the cache again")
    t.is_([status for status, _ in ask(bob) + ask(carol) + ask(nobody)], [401] * 6, "the others are refused")
    t.like(nginx.log(), "the subscription to changes at .* is up again", "and the log says that it is up again")
