#!/usr/bin/python3
# What a worker was killed over while it wrote into the spool is removed when it is old; what is young, or not of nginx, is left
# alone.
# Hazards: N23

import os
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS%;
    api_key_usage_interval 100ms;
    api_key_spool          %SPOOL%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""
NAME = "0123456789abcdef0123456789abcdef-0-7.usage"


def put(name, age):
    with open(f"{spool}/{name}", "w", encoding="ascii") as file:
        file.write("half of a ba")
    os.utime(f"{spool}/{name}", (time.time() - age,) * 2)


with Test() as t:
    spool = t.new_folder("spool")
    os.chmod(spool, 0o777)
    put(f"{NAME}.4711.tmp", 2 * 3600)
    put(f"{NAME}.4712.tmp", 60)
    put("notes.tmp", 2 * 3600)
    nginx = t.nginx(CONF, redis=t.redis(), spool=spool)
    t.ok(wait_for(lambda: f"{NAME}.4711.tmp" not in os.listdir(spool)), "an old draft is removed", os.listdir(spool))
    t.is_(sorted(os.listdir(spool)), [f"{NAME}.4712.tmp", "notes.tmp"], "a young one is not, and nothing else")
