#!/usr/bin/python3
# A worker that is killed again and again while Redis is away, beside one that lives and takes over what it finds: the zone's slots
# do not run out, there are some for the workers of a reload, and nothing that was answered is lost.
# Hazards: N23, N24, U1

import signal
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS%;
    api_key_cache          valid=1h;
    api_key_usage_interval 500ms;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
    }
}
"""
DEATHS, REQUESTS = 5, 20
INTERVAL = 0.5                             # seconds


def shipped():
    """Requests in the stream, each batch once."""
    batches = {}
    for _, fields in redis("XRANGE", "apikey:usage", "-", "+"):
        fields = dict(zip(fields[::2], fields[1::2]))
        batches[fields["batch"]] = fields["rows"]
    return sum(int(line.split("\t")[6]) for rows in batches.values() for line in rows.splitlines())


def ask():
    global answered
    for _ in range(REQUESTS):
        answered += nginx.get("/", key).status == 200


def kill(*victims):
    for pid in victims:
        nginx.kill_worker(pid, signal.SIGKILL)
    wait_for(lambda: len(set(nginx.workers()) - set(victims)) == 2)


with Test() as t:
    key, answered = t.key(), 0
    redis = t.redis(keys=[key], options={"appendonly": "yes"})
    nginx = t.nginx(CONF, redis=redis)
    wait_for(lambda: nginx.get("/", key).status == 200)
    answered = 1
    redis.kill()
    for _ in range(DEATHS):
        ask()
        kill(max(nginx.workers()))
        time.sleep(INTERVAL * 1.2)         # the other one looks for what it left
    nginx.reload()
    ask()
    kill(*nginx.workers())
    t.ok(answered >= DEATHS * REQUESTS, "most are answered", answered)
    t.unlike(nginx.log(), "has no room for the usage", "every worker counts in the zone")
    redis.start()
    redis.trust()
    t.ok(wait_for(lambda: shipped() >= answered), "everything reaches Redis", shipped(), answered)
    t.must(shipped() == answered, "and counts once", shipped(), answered)
