#!/usr/bin/python3
# apikeyd may open no file any more and loses its connections: it lives on with few words, nginx serves from Redis, a change is
# recorded; when it may again, it reconnects by itself, and the change comes into force.
# Hazards: X20, X19

import os
import resource
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
    api_key_cache valid=1h invalid=1h;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
SECONDS = 2


def files(kind=""):
    """The numbers of its open files; `kind`: only those, "socket" for example."""
    found, folder = [], f"/proc/{daemon.process.pid}/fd"
    for number in os.listdir(folder):
        try:
            found += [int(number)] if os.readlink(f"{folder}/{number}").startswith(kind) else []
        except FileNotFoundError:          # closed meanwhile
            pass
    return found


def limit_to(number):
    """It may have no file from this number on, but those that it has."""
    _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (min(number, hard), hard))


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    proxy = t.redis_proxy(redis)
    keys = [t.key(user=f"user-{n}") for n in range(4)]
    for key in keys:
        pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
               f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")
    daemon = t.apikeyd(pg, proxy)
    nginx = t.nginx(CONF, redis=redis)
    t.ok(nginx.wait_watching(1), "all is well")
    t.is_({nginx.get("/", key).status for key in keys[:2]}, {200}, "two keys have been seen, the others not")
    baseline, sockets = len(files()), len(files("socket"))

    for lost in ("Redis", "Postgres", "both"):
        limit_to(min(files("socket")))
        before = len(daemon.log().splitlines())
        if lost != "Postgres":
            proxy.close_all()
        if lost != "Redis":
            pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        t.ok(wait_for(lambda: len(files("socket")) < sockets), f"{lost}: lost", files("socket"))
        key = keys.pop(0)
        pg.sql(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")
        time.sleep(SECONDS)
        t.is_({nginx.get("/", other).status for other in keys}, {200}, f"{lost}: nginx serves from Redis")
        t.ok(len(files("socket")) < sockets, f"{lost}: it cannot be reached", files("socket"))
        lines = daemon.log().splitlines()[before:]
        t.ok(len(lines) <= 10 * SECONDS, f"{lost}: apikeyd says so in few lines", *lines[:20])
        t.ok(daemon.process.alive(), f"{lost}: and lives on")
        limit_to(1 << 20)
        t.ok(wait_for(lambda: nginx.get("/", key).status == 401, 15), f"{lost}: it may again, and the key is refused",
             daemon.log()[-800:])
        t.ok(wait_for(lambda: len(files()) <= baseline), f"{lost}: with no more files than before", files(), baseline)
        made = daemon.ctl("keys", "create", "--user", "u", "--name", "k", json=True)
        t.secret(made["key"])
        t.ok(made["inForce"], f"{lost}: changes are in force again", made)
    t.like(daemon.log(), "Too many open files", "the log says what was missing")
