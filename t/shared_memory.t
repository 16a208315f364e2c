#!/usr/bin/python3
# Whoever reads the zone's memory (a core dump, say) finds SHA-256 digests, ids and users of the keys that were used, and no key.
# Hazards: V21

import re

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:4m;
    api_key_redis %REDIS%;
    api_key_cache valid=10m invalid=10m;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_source bearer header:X-Key arg:key cookie:key; empty_gif; }
    }
}
"""
ZONE_BYTES = 4 * 1024 * 1024


def zone():
    """The bytes of the shared memory that is as large as the zone."""
    pid = nginx.workers()[0]
    with open(f"/proc/{pid}/maps", encoding="latin-1") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            first, last = (int(number, 16) for number in re.match(r"([0-9a-f]+)-([0-9a-f]+)", line).groups())
            if " rw-s " in line and last - first == ZONE_BYTES:
                memory.seek(first)
                return memory.read(last - first)
    return b""


with Test() as t:
    keys = [t.key(user=f"the-user-{n}") for n in range(50)]
    strangers = [t.key() for _ in range(50)]
    odd = t.key(text="a-key-of-another-make-0123456789")
    nginx = t.nginx(CONF, redis=t.redis(keys=[*keys, odd]))
    t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 200), "Redis is in use")
    for n, key in enumerate([*keys, odd]):
        where = ({"key": key}, {"headers": [("X-Key", key.key)]}, {"path": f"/?key={key.key}"},
                 {"headers": [("Cookie", f"key={key.key}")]})[n % 4]
        t.is_(nginx.get(**where).status, 200, f"a good key, {next(iter(where))}")
    t.is_({nginx.get("/", key).status for key in strangers}, {401}, "and unknown ones")

    memory = zone()
    t.is_(len(memory), ZONE_BYTES, "the zone's memory")
    # A verdict that comes while another worker holds the zone's lock is not kept: nearly all are.
    kept = sum(bytes.fromhex(key.hash) in memory and key.user.encode() in memory and key.id.encode() in memory for key in keys)
    t.ok(kept > 40, "has the digests, users and ids of the keys in use", kept)
    kept = sum(bytes.fromhex(key.hash) in memory for key in strangers)
    t.ok(kept > 40, "and the digests of unknown ones", kept)
    found = [key.user for key in [*keys, *strangers, odd] for part in (key.key[:24], key.key[-24:]) if part.encode() in memory]
    t.is_(found, [], "and no key, nor half of one")
