#!/usr/bin/python3
# The master that nginx is connected to becomes another Redis' replica, with other and older data, and a master again: what
# it then holds is not believed until apikeyd vouches for it.
# Hazards: R7, R27

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def statuses():
    """Of a key that is in force, and of one that was revoked."""
    return nginx.get("/", alice).status, nginx.get("/", revoked).status


def watch(until):
    """All that is answered until then."""
    seen, end = set(), time.monotonic() + 10
    while not until() and time.monotonic() < end:
        seen.add(statuses())
        time.sleep(0.01)
    return seen


def watch_for(seconds):
    begun = time.monotonic()
    return watch(lambda: time.monotonic() - begun > seconds)


def is_replica_in_step():
    return redis("ROLE")[0] == "slave" and redis("ROLE")[3] == "connected"


with Test() as t:
    alice, revoked = t.key(user="alice"), t.key(user="mallory")
    soon = {"repl-diskless-sync-delay": 0}
    redis, older = t.redis(keys=[alice], port=True, options=soon), t.redis(keys=[revoked], port=True, options=soon)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(wait_for(lambda: statuses() == (200, 401)), "one key is in force, one was revoked")

    # Nobody asks meanwhile: the heartbeat finds out.
    redis("REPLICAOF", "127.0.0.1", str(older.port))
    t.ok(wait_for(is_replica_in_step, 10), "it is a replica")
    t.ok(nginx.wait_log(r"cannot be used: Redis is a replica; a master is needed;"), "the log says so")
    t.is_(statuses(), (503, 503), "and nothing it holds is believed")
    redis("REPLICAOF", "NO", "ONE")
    t.is_(watch_for(1.5), {(503, 503)}, "a master again, with the other's data: not believed either")
    redis("FLUSHALL")
    redis.add(alice)
    redis.trust()
    t.ok(wait_for(lambda: statuses() == (200, 401)), "apikeyd vouches for it: in use")

    # All the time somebody asks.
    redis("REPLICAOF", "127.0.0.1", str(older.port))
    seen = watch(is_replica_in_step)
    t.ok(seen <= {(200, 401), (503, 503), (200, 503), (503, 401)}, "while it becomes a replica: right or unavailable", seen)
    t.is_(watch_for(1.5), {(503, 503)}, "as a replica: unavailable")
    redis("REPLICAOF", "NO", "ONE")
    redis("FLUSHALL")
    redis.add(alice)
    redis.trust()
    t.ok(wait_for(lambda: statuses() == (200, 401)), "in the end in use")

    # A replica with the old master's epoch, to which nginx is sent by a new configuration.
    copy = t.redis(port=True, options=soon)
    copy("REPLICAOF", "127.0.0.1", str(redis.port))
    t.ok(wait_for(lambda: copy.epoch() == redis.epoch(), 10), "a true copy")
    nginx.write_config(redis=copy)
    t.ok(nginx.reload(), "nginx is sent there")
    t.is_(statuses(), (503, 503), "a replica is refused")
    copy("REPLICAOF", "NO", "ONE")
    t.is_(watch_for(1), {(503, 503)}, "and as a master its epoch is another's")
    copy.trust()
    t.ok(wait_for(lambda: statuses() == (200, 401)), "until apikeyd vouches for it")
