#!/usr/bin/python3
# What Redis took it may lose: it is killed and comes back without its last seconds, from an old snapshot, or empty; or somebody
# empties it. What was counted in the 3 seconds before comes again from the zone, under the same ids.
# Hazards: R27

import time

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=2s;
    api_key_cache          valid=10m;
    api_key_usage_interval 200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
SETTLED = 3.0                              # seconds after Redis took it, a batch is freed


def requests_of(user):
    return sum(nginx.get("/", user).status == 200 for _ in range(20))


def comes_again(user, batches, name):
    """What this user did is in the stream again, in the very batches of before."""
    t.is_(usage.wait_counted(redis, 20, user=user.user), 20, f"{name}: what was counted just before comes again, once")
    again = {batch["batch"]: batch for batch in usage.batches(redis)}
    t.is_([again.get(batch["batch"]) for batch in batches], batches, "as the same batches")


def shipped(user):
    """20 requests of this user, when they are in the stream; the batches that have them."""
    t.is_(requests_of(user), 20, f"{user.user} asks 20 times")
    t.is_(usage.wait_counted(redis, 20, user=user.user), 20, "which Redis has taken")
    return [batch for batch in usage.batches(redis) if user.user in batch["rows"]]


with Test() as t:
    users = old, lost, snapshot, flushed, late = [t.key(user=name) for name in ("old", "lost", "snapshot", "flushed", "late")]
    redis = t.redis(keys=users)
    nginx = t.nginx(CONF, redis=redis)
    wait_for(lambda: nginx.get("/", old).status == 200)
    for user in users[1:]:                 # into the key cache
        nginx.get("/", user)
    usage.wait_counted(redis, len(users))
    redis("DEL", usage.STREAM)

    shipped(old)
    t.ok(wait_for(lambda: not nginx.metrics()["usage_batches_pending"]), "after a while nginx no longer holds it")

    redis("DEL", usage.STREAM)
    batches = shipped(lost)
    redis.restart(kill=True)
    redis.add(*users)
    redis.trust()
    comes_again(lost, batches, "Redis is killed and comes back empty")
    t.is_(usage.by(redis, "user").get("old"), None, "what Redis had for longer does not: that is for Redis' own log to keep")

    redis("SAVE")
    batches = shipped(snapshot)
    redis.kill()
    redis.start()
    redis.trust()
    comes_again(snapshot, batches, "Redis comes back from an old snapshot")
    t.is_(usage.wait_counted(redis, 20, user="lost"), 20, "which has what was there before, once")

    batches = shipped(flushed)
    client = redis.client()
    client.pipeline([["FLUSHALL"]])
    t.is_(usage.batches(redis), [], "somebody empties Redis")
    redis.add(*users)
    redis.trust()
    comes_again(flushed, batches, "it is filled again by apikeyd")

    repeated = nginx.metrics()['usage_batches_total{event="repeated"}']
    t.ok(repeated >= 3, "the metrics tell what was sent again", repeated)
    time.sleep(SETTLED)
    t.ok(wait_for(lambda: not nginx.metrics()["usage_batches_pending"]), "in the end nothing waits in the zone")
    shipped(late)
    t.is_(usage.differing(redis), [], "what came again was the same")
