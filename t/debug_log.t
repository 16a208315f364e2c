#!/usr/bin/python3
# At `error_log debug` nginx itself writes the headers that it received; no line of ours has more of a key than its id, and its
# digest is in no line at all.
# Hazards: N32

import re
import subprocess

from lib.apikeytest import Key, Test, make_key_text, replace, skip_all, wait_for
from lib.apikeytest import places

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=300ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_source bearer header:X-Key arg:key cookie:key; include %API_KEY_PARAMS%;
                     proxy_pass http://%UPSTREAM%; }
    }
}
"""
# What nginx writes of its own: the request line and headers as they came in and, for arguments, the URI it is working on.
NGINX_SAYS = re.compile(r"http request line:|http header:|http args:|http uri:|http process request|\"GET /|parse header|http cookie")

if "--with-debug" not in subprocess.run([places.NGINX, "-V"], capture_output=True, text=True, check=True).stderr:
    skip_all("this nginx was built without --with-debug")

with Test() as t:
    # Not by t.key(): that no log has them is just what does not hold here.
    alice, stranger, broken = (Key(make_key_text(), user) for user in ("alice", "nobody", ""))
    redis = t.redis(keys=[alice, broken])
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream(), log_level="debug")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "a good key")
    t.is_(nginx.get("/", stranger).status, 401, "an unknown one")
    t.is_(nginx.get("/", broken).status, 503, "one whose record is broken")
    for where in ({"headers": [("X-Key", alice.key)]}, {"headers": [("Cookie", f"key={alice.key}")]},
                  {"path": f"/?key={alice.key}"}):
        t.is_(nginx.get(**where).status, 200, f"a good key in {next(iter(where))}")
    proxy.on("HMGET", replace(b"-BUSY x\r\n"), nth=1)
    t.is_(nginx.get("/", Key(make_key_text())).status, 503, "and a fault")

    lines = nginx.log().splitlines()
    keys = [alice, stranger, broken]
    t.ok(any(alice.key in line for line in lines), "debug is on: nginx writes what came in (docs/security.md warns of it)")
    unexpected = [line for line in lines for key in keys if key.key in line and not NGINX_SAYS.search(line)]
    ours = [line for line in lines for key in keys if "api_key" in line and key.key in line]
    t.is_(ours, [], "no line of ours has a key")
    t.ok(all("api_key" not in line for line in unexpected), "what else has one is nginx's", *unexpected[:5])
    t.is_([line for line in lines for key in keys if key.hash in line.lower()], [], "no line has a digest")
