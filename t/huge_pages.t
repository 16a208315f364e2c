#!/usr/bin/python3
# The zone asks for huge pages, and keeps them where the system gives some to who asks (docs/operations.md); asked or not, it works.

import re

from lib.apikeytest import Test
from lib.apikeytest.process import huge_pages, read

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:16m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""

ZONE = 16 << 20


def shared_mappings(pid):
    """Of /proc/PID/smaps: (bytes, the whole entry)."""
    for entry in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", read(f"/proc/{pid}/smaps"), flags=re.M):
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-s ", entry)
        if found:
            yield int(found[2], 16) - int(found[1], 16), entry


with Test() as t:
    alice = t.key(user="alice")
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice]))
    t.is_([nginx.get("/", alice).status for _ in range(2)], [200, 200], "the zone works")
    [zone] = [entry for size, entry in shared_mappings(nginx.workers()[0]) if size == ZONE]
    asked = " hg" in re.search(r"VmFlags:.*", zone)[0]
    setting = huge_pages()
    t.ok(asked or setting is None, "it asks for huge pages wherever the system has any", zone)
    t.ok(setting not in ("advise", "always", "within_size", "force") or int(re.search(r"ShmemPmdMapped: *(\d+)", zone)[1]) > 0,
         f"and has them where it is given some (here: {setting})", zone)
