#!/usr/bin/python3
# Workers that are killed, idle or while requests are parked, one or all at once: the others go on serving, new ones take their
# place and connect to Redis, and nobody is taken for another.
# Hazards: N23, N24

import time

from lib.apikeytest import Test, black_hole, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 3;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=1s;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def served():
    """Asks until everybody has been asked for himself; what went wrong meanwhile."""
    wrong = []
    for key in keys:
        r = nginx.get("/", key)
        if r.status != 200 or r.saw("X-User-Id") != [key.user]:
            wrong.append((key.user, r))
    return wrong


def complete(before):
    """Three workers again, and as many connections to Redis as before."""
    return wait_for(lambda: len(nginx.workers()) == 3 and len(proxy.links) == before, 10)


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(30)]
    proxy = t.redis_proxy(t.redis(keys=keys), record=False)
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())
    wait_for(lambda: not served())
    time.sleep(0.1)
    links, baseline = len(proxy.links), nginx.fds()
    t.ok(links >= 3, "every worker has its connection", links)

    # An idle one.
    victim, first = nginx.workers()[0], set(nginx.workers())
    nginx.kill_worker(victim)
    t.ok(wait_for(lambda: len(set(nginx.workers()) - {victim}) == 3, 1.0), "an idle worker is killed: another within a second")
    t.ok(complete(links), "with its own connection to Redis", len(proxy.links))
    t.is_(served(), [], "everybody is served as himself")
    t.is_(len(set(nginx.workers()) & first), 2, "the others lived on")

    # One whose requests are parked: theirs end, those of the others are answered.
    proxy.on_request("HMGET", black_hole())
    parked = [nginx.connect() for _ in range(24)]
    for client, key in zip(parked, keys):
        client.send(request_bytes(key=key))
    time.sleep(0.3)
    victim = nginx.workers()[0]
    nginx.kill_worker(victim)
    proxy.clear()
    answers = []
    for client in parked:
        try:
            answers.append(client.response().status)
        except (ConnectionError, OSError):
            answers.append("died")
    t.ok(set(answers) <= {"died", 503, 200} and "died" in answers and len(set(answers)) > 1,
         "a worker with parked requests is killed: only its clients notice", answers)
    t.ok(complete(links), "another takes its place")
    t.ok(wait_for(lambda: not served(), 20), "everybody is served as himself")

    # All of them at the same moment, parked or not.
    proxy.on_request("HMGET", black_hole())
    parked = [nginx.connect() for _ in range(12)]
    for client, key in zip(parked, keys):
        client.send(request_bytes(key=key))
    time.sleep(0.2)
    dead = nginx.workers()
    for pid in dead:
        nginx.kill_worker(pid)
    proxy.clear()
    t.ok(wait_for(lambda: len(nginx.workers()) == 3 and not set(nginx.workers()) & set(dead), 10), "all at once: all are replaced")
    t.ok(complete(links), "and connect")
    t.ok(wait_for(lambda: not served(), 20), "everybody is served as himself")
    t.ok(nginx.process.alive(), "the master is the same")
    for client in parked:
        client.close()
    t.fds_return(nginx, baseline)
