#!/usr/bin/python3
# Only workers connect to Redis, one link each: not the master, not the cache manager and loader, and nobody where api_key is
# nowhere on.
# Hazards: N27, N28

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes %WORKERS%;
events { }
http {
    %HTTP%
    proxy_cache_path %DIR%/cache keys_zone=pages:1m;
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { %API_KEY% empty_gif; }
    }
}
"""


def kinds(nginx):
    """What each child of the master is: "worker", "cache manager", …"""
    found = []
    for pid in nginx.workers():
        try:
            with open(f"/proc/{pid}/cmdline", encoding="latin-1") as line:
                found.append(line.read().strip("\0 ").removeprefix("nginx: ").removesuffix(" process"))
        except (FileNotFoundError, ProcessLookupError):
            pass                           # it ended meanwhile: an old one, after a reload
    return sorted(found)


def links_of(redis):
    """Connections to Redis but for the one that asks."""
    return [line for line in redis("CLIENT", "LIST").splitlines() if "cmd=client" not in line]


def pairs_of(redis):
    """How many of them are for lookups, and how many are subscriptions."""
    subscribed = [" sub=1 " in line for line in links_of(redis)]
    return subscribed.count(False), subscribed.count(True)


with Test() as t:
    alice = t.key()
    redis = t.redis(keys=[alice])

    nginx = t.nginx(CONF, redis=redis, workers=3, api_key='api_key "test";')
    t.ok(wait_for(lambda: kinds(nginx) == ["cache loader", "cache manager"] + ["worker"] * 3), "helpers are there",
         kinds(nginx))
    t.ok(wait_for(lambda: pairs_of(redis) == (3, 3)), "three workers, three pairs of connections", *links_of(redis))
    t.is_(nginx.get("/", alice).status, 200, "which work")
    time.sleep(0.3)
    t.is_(pairs_of(redis), (3, 3), "and no more come", *links_of(redis))
    t.ok(nginx.reload(wait_old=False), "after a reload")
    t.ok(wait_for(lambda: pairs_of(redis) == (3, 3) and kinds(nginx).count("worker") == 3), "it is three again",
         *links_of(redis))
    t.ok(nginx.quit(), "nginx quits")
    t.ok(wait_for(lambda: not links_of(redis)), "and its links with it")

    seen = redis("INFO", "stats").split("total_connections_received:")[1].split()[0]
    nginx = t.nginx(CONF, redis=redis, workers=1, api_key="")
    t.is_(nginx.get("/").status, 200, "an nginx that asks for no keys")
    time.sleep(0.3)
    t.is_(redis("INFO", "stats").split("total_connections_received:")[1].split()[0], seen, "does not connect")
