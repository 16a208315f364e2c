#!/usr/bin/python3
# nginx is replaced while it runs (USR2, WINCH, QUIT), under load: no request fails, the new nginx has its own zone and its own
# connections to Redis, the old one's go with it. A way back (HUP to the old master) works as well.
# Hazards: N19

import os
import signal
import threading

from lib.apikeytest import Test, wait_for
from lib.apikeytest.process import children_of, read, running

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def workers_of(master):
    return [pid for pid in children_of(master) if running(pid) and "worker" in read(f"/proc/{pid}/cmdline")]


def ended(pid):
    return bool(wait_for(lambda: not running(pid), 20))


def new_master(old):
    """The master that USR2 to this one has started."""
    os.kill(old, signal.SIGUSR2)
    return wait_for(lambda: (made := [pid for pid in children_of(old) if "master" in read(f"/proc/{pid}/cmdline")])
                    and workers_of(made[0]) and made[0], 20)


def redis_clients():
    return {line.split()[0] for line in redis("CLIENT", "LIST").splitlines() if "cmd=client" not in line}


def ask_all_the_time():
    """One connection per request: none can meet a connection that a worker has just closed."""
    turn = 0
    while not over.is_set():
        key, turn = keys[turn % len(keys)], turn + 1
        try:
            r = nginx.get("/", key, headers={"Connection": "close"})
            answers.append((r.status, r.saw("X-User-Id") == [key.user]))
        except OSError as error:
            answers.append((str(error), False))


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(10)]
    redis, upstream = t.redis(keys=keys), t.upstream()
    nginx = t.nginx(CONF, detached=True, redis=redis, upstream=upstream)
    old, over, answers = nginx.master, threading.Event(), []
    first = []                             # statuses, until Redis is there
    wait_for(lambda: first.append(nginx.get("/", keys[0]).status) or first[-1] == 200)
    per_nginx = 2 * 2                      # each worker: lookups, and the subscription to changes
    t.ok(wait_for(lambda: len(redis_clients()) == per_nginx), "one nginx with its connections to Redis", redis_clients())
    clients = [threading.Thread(target=ask_all_the_time, daemon=True) for _ in "1234"]
    for client in clients:
        client.start()

    # Forth and back.
    new = new_master(old)
    t.ok(new and new != old, "a second nginx runs beside the first", nginx.log()[-500:])
    t.ok(wait_for(lambda: len(redis_clients()) == 2 * per_nginx), "with its own connections to Redis", redis_clients())
    os.kill(old, signal.SIGWINCH)
    t.ok(wait_for(lambda: not workers_of(old), 20), "the old workers end")
    t.ok(wait_for(lambda: len(redis_clients()) == per_nginx), "and their connections")
    os.kill(old, signal.SIGHUP)
    t.ok(wait_for(lambda: len(workers_of(old)) == 2, 20), "the old master takes workers again")
    os.kill(new, signal.SIGQUIT)
    t.ok(wait_for(lambda: new not in children_of(old), 20), "and the new one goes")
    wait_for(lambda: f"process {new} exited" in nginx.log())

    # Forth.
    new = new_master(old)
    os.kill(old, signal.SIGWINCH)
    t.ok(wait_for(lambda: not workers_of(old), 20), "again: the old workers end")
    os.kill(old, signal.SIGQUIT)
    t.ok(ended(old), "the old master ends")
    before = len(answers)
    t.ok(wait_for(lambda: len(answers) > before + 20, 20), "the new one serves")
    over.set()
    for client in clients:
        client.join()
    t.is_({answer for answer in answers}, {(200, True)}, f"{len(answers)} requests, each served, as oneself")
    t.logged_once(nginx, len(first) + len(answers))
    t.ok(wait_for(lambda: len(redis_clients()) == per_nginx), "the connections are those of one nginx")
    t.ok(wait_for(lambda: {name.split(":")[1] for name in redis.workers()} == {str(pid) for pid in workers_of(new)}),
         "and nobody else is waited for when a key changes", redis.workers())
    os.kill(new, signal.SIGQUIT)
    t.ok(ended(new), "it ends")
    t.unlike(nginx.log(), "open socket", "and nothing was left open")
    t.ok(wait_for(lambda: not redis_clients() and not redis.workers()), "also at Redis", redis.workers())
