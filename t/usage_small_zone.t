#!/usr/bin/python3
# A zone that is too small for a worker's usage: one warning per worker, and everything is counted all the same; a worker that is killed
# then takes what it had not shipped with it, as the warning says. Ids that no batch of a small slot holds are lost, and told of.

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:%SIZE%;
    api_key_redis %REDIS%;
    api_key_usage_interval %INTERVAL%;
    api_key "test";
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { empty_gif; }
        location = /pid { api_key off; return 200 $pid; }
        location = /metrics { api_key off; api_key_metrics; }
    }
}
"""
WARNING = r"\[warn\].*api_key_zone has no room for the usage of this worker.*make the zone larger"


def warnings():
    return nginx.log().count("has no room for the usage")


def slots(memory):
    return nginx.metrics()[f'usage_slots{{memory="{memory}"}}']


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(20)]
    redis = t.redis(keys=keys)
    nginx = t.nginx(CONF, redis=redis, size="64k", interval="100ms")
    workers = nginx.connect_each(2)
    t.like(nginx.log(), WARNING, "a warning")
    t.is_(warnings(), 2, "one for each worker")
    t.is_((slots("zone"), slots("private")), (0, 2), "the metrics say so")
    for client in workers.values():
        t.is_([client.request(key=key).status for key in keys], [200] * len(keys), "a worker serves")
    t.is_(usage.wait_counted(redis, 40), 40, "and counts")
    t.is_(usage.by(redis, "user"), {key.user: 2 for key in keys}, "for each key")
    t.is_(len({batch["batch"].split()[0] for batch in usage.batches(redis)}), 2, "each under a name of its own")
    t.ok(nginx.reload(), "a reload")
    nginx.connect_each(2)
    t.is_(warnings(), 4, "warns anew")
    t.is_(nginx.get("/", keys[0]).status, 200, "and goes on")
    t.is_(usage.wait_counted(redis, 41), 41, "to count")
    nginx.quit()
    redis("DEL", usage.STREAM)

    # In 1m a slot has 64k at most (on a machine of one processor), and a batch a seventh of that.
    long, longest = t.key(user="u" * 1000), t.key(user="v" * 4000, id="i" * 4000)
    redis.add(long, longest)
    nginx = t.nginx(CONF, redis=redis, size="1m", interval="100ms")
    t.is_([nginx.get("/", key).status for key in (long, longest, keys[0])], [200] * 3, "long ids work")
    t.is_(usage.wait_counted(redis, 2), 2, "and count where a batch holds them")
    t.is_(usage.by(redis, "user"), {long.user: 1, keys[0].user: 1}, "else not")
    t.is_((nginx.metrics()["usage_lost_total"], nginx.metrics()["usage_requests_total"]), (1, 2), "which the metrics tell")
    t.like(nginx.log(), r"\[error\].*the usage of a request is lost: the id of its key or user is too long", "and the log")
    nginx.quit()
    redis("DEL", usage.STREAM)

    for size, lost in (("64k", 10), ("1m", 0)):
        nginx = t.nginx(CONF, redis=redis, size=size, interval="1m")
        pid, client = next(iter(nginx.connect_each(2).items()))
        t.is_(warnings(), 2 if lost else 0, f"{size}: warnings")
        t.is_([client.request(key=keys[0]).status for _ in range(10)], [200] * 10, "ten requests")
        nginx.kill_worker(pid)
        t.ok(wait_for(lambda: len(set(nginx.workers()) - {pid}) == 2), "whose worker is killed")
        t.ok(nginx.quit(), "the others stop")
        t.is_(usage.counted(redis), 10 - lost, f"{size}: {lost} are lost")
        redis("DEL", usage.STREAM)
