#!/usr/bin/python3
# Redis appends a batch and its answer does not arrive: it is sent again on the next connection, as the same batch. Also by the
# worker that takes over from the one that had sent it.
# Hazards: U3, U4, R15

import time

from lib.apikeytest import Test, black_hole, close, cut, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=500ms;
    api_key_cache          valid=10m;
    api_key_usage_interval 200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def entries(user):
    """Of the stream, with this user in them: each as its batch, how often it came."""
    found = [dict(zip(fields[::2], fields[1::2])) for _, fields in redis("XRANGE", usage.STREAM, "-", "+")]
    found = [batch["batch"] for batch in found if user in batch["rows"]]
    return {batch: found.count(batch) for batch in found}


def ask(user, count=10):
    t.is_(sum(nginx.get("/", user).status == 200 for _ in range(count)), count, f"{user.user} asks {count} times")


def counted_once(user, name):
    t.ok(wait_for(lambda: max(entries(user.user).values(), default=0) > 1), f"{name}: it is sent again", entries(user.user))
    t.is_(usage.wait_counted(redis, 10, user=user.user), 10, "under the same id: counted once")


with Test() as t:
    users = cut_off, closed, reset, silent, dead = [t.key(user=name) for name in ("cutoff", "closed", "reset", "silent", "dead")]
    redis = t.redis(keys=users)
    proxy = t.redis_proxy(redis, port=True)
    nginx = t.nginx(CONF, redis=proxy)
    wait_for(lambda: nginx.get("/", cut_off).status == 200)
    for user in users[1:]:
        nginx.get("/", user)
    usage.wait_counted(redis, len(users))
    wait_for(lambda: not nginx.metrics()["usage_batches_pending"])     # or it would come again, too
    redis("DEL", usage.STREAM)

    for user, fault, name in ((cut_off, cut(3), "half an answer"), (closed, close(), "no answer"), (reset, close(reset=True), "a reset")):
        proxy.on("XADD", fault, nth=1)
        ask(user)
        counted_once(user, name)
        proxy.clear()
    proxy.on("XADD", black_hole(), nth=1)
    ask(silent)
    counted_once(silent, "silence")
    proxy.clear()

    # The worker has sent it, Redis has it; the worker dies before it hears of it.
    wait_for(lambda: nginx.metrics()["links_up"] == 1)
    proxy.on("XADD", black_hole(), nth=1)
    ask(dead)
    t.ok(wait_for(lambda: entries("dead")), "Redis has a batch whose answer is on its way")
    victim = nginx.workers()[0]
    nginx.kill_worker(victim)
    t.ok(wait_for(lambda: nginx.workers() and nginx.workers() != [victim]), "its worker is killed")
    counted_once(dead, "another takes over")
    t.ok(wait_for(lambda: nginx.metrics()["usage_slots_adopted_total"] == 1 or len(usage.slots(redis)) == 1),
         "the slot went on to it", usage.slots(redis))

    time.sleep(0.5)
    ids = {each for user in users for each in entries(user.user)}
    t.is_(usage.differing(redis), [], f"{len(ids)} batches, and what came again was the same")
