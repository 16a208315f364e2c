#!/usr/bin/python3
# The module is replaced: under the same path a reload keeps the one that is loaded; from another path a reload takes the new
# one, which begins with a zone of its own, whether it lays that out in the same way or not, and the old workers end with theirs.
# Hazards: N18

import os
import shutil

from lib.apikeytest import Test, wait_for
from lib.apikeytest import places

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=2s;
    api_key_cache valid=10m;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def links_are(count):
    """So many workers have a connection for lookups, in the end."""
    return wait_for(lambda: nginx.metrics()["links_up"] == count)


def is_cached(key):
    """Would it be let in without Redis?"""
    proxy.refuse()
    proxy.close_all()
    t.ok(links_are(0), "Redis is away")
    status = nginx.get("/", key).status
    proxy.accept()
    t.ok(links_are(2), "and back, for both workers")
    return status == 200


def loaded():
    """The files that the workers have our module from."""
    found = set()
    for pid in nginx.workers():
        with open(f"/proc/{pid}/maps", encoding="latin-1") as file:
            found |= {line.split(maxsplit=5)[5].strip() for line in file if "api_key" in line and ".so" in line}
    return found


with Test() as t:
    alice, stranger = t.key(user="alice"), t.key()
    proxy = t.redis_proxy(t.redis(keys=[alice]))
    folder = t.new_folder("modules")
    first, second = f"{folder}/api_key_first.so", f"{folder}/api_key_second.so"
    shutil.copy(places.MODULE, first)
    nginx = t.nginx(CONF, module=first, redis=proxy)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "nginx serves")
    t.ok(is_cached(alice), "the key is cached")

    shutil.copy(places.MODULE, f"{first}.new")
    os.replace(f"{first}.new", first)
    t.ok(nginx.reload(), "the file is replaced, and nginx reloaded")
    t.is_(loaded(), {f"{first} (deleted)"}, "the module is the one that was there")
    t.ok(is_cached(alice), "with its cache")

    for turn, (path, build) in enumerate(((second, places.MODULE), (f"{folder}/api_key_third.so", places.OTHER_LAYOUT),
                                          (f"{folder}/api_key_fourth.so", places.MODULE))):
        shutil.copy(build, path)           # the third lays its zone out in another way
        nginx.write_config(load_module=f"load_module {path};")
        t.ok(nginx.reload(), f"the module from another path, {turn + 1}")
        t.ok(path in loaded(), "it is loaded", loaded())
        t.is_(nginx.get("/", stranger).code, "invalid_api_key", "and works")
        t.ok(not is_cached(alice), "with a zone of its own")
        t.is_(nginx.get("/", alice).status, 200, "in which a key is looked up")
        t.ok(is_cached(alice), "and cached")
    t.ok(nginx.reload(), "a reload that changes nothing")
    t.ok(is_cached(alice), "keeps that")
    t.ok(nginx.quit(), "nginx ends")
    t.unlike(nginx.log(), r"open socket|\[alert\]|\[emerg\]", "and all was well")
