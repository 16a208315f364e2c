#!/usr/bin/python3
# Whatever error Redis answers with, to whichever command: the key cannot be judged, and the next one can. The log names
# the error and nothing that belongs to a key.
# Hazards: R11, R6, R9

import re

from lib.apikeytest import Test, replace, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
ERRORS = ["MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "CLUSTERDOWN Hash slot not served",
          "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
          "BUSY Redis is busy running a script.", "MISCONF Redis is configured to save RDB snapshots",
          "LOADING Redis is loading the dataset in memory", "NOAUTH Authentication required.",
          "NOPERM this user has no permissions", "READONLY You can't write against a read only replica.",
          "ERR max number of clients reached", "TRYAGAIN Multiple keys request during rehashing of slot", "FOO", "FOO bar",
          "", " ", "err lower case"]


def is_served():
    return nginx.get("/", alice).status == 200


with Test() as t:
    alice, nobody = t.key(user="alice"), t.key(user="nobody")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    t.ok(wait_for(is_served), "Redis is in use")

    for error in ERRORS:
        reply = replace(f"-{error}\r\n".encode())
        proxy.on("HMGET", reply, nth=1)
        r = nginx.get("/", alice)
        t.is_((r.status, r.code), (503, "api_key_unavailable"), f"-{error[:24]} to a lookup")
        proxy.clear()
        wait_for(is_served)
        proxy.on("HMGET", reply, nth=1)
        t.is_(nginx.get("/", nobody).status, 503, "also for an unknown key")
        proxy.clear()
        wait_for(is_served)
        proxy.on("GET", reply, nth=1)
        t.is_(nginx.get("/", alice).status, 503, "to the epoch")
        proxy.clear()
        t.ok(wait_for(is_served), "and the next is served")

    for command in ("INFO", "GET"):
        for error in ERRORS:
            proxy.on(command, replace(f"-{error}\r\n".encode()))
            proxy.close_all()
            refused = wait_for(lambda: nginx.get("/", alice).status == 503)
            proxy.clear()
            t.ok(refused and wait_for(is_served), f"-{error[:24]} to the first {command}: unavailable, then served")

    # An error that repeats what it was asked: the invariants at the end see to it that no log has it.
    proxy.on("HMGET", replace(f"-ERR unknown command 'HMGET', with args beginning with: 'apikey:k:{alice.hash}'\r\n"
                              .encode()), nth=1)
    proxy.on("HMGET", replace(f"-{alice.hash} is no key\r\n".encode()), nth=2)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 503 and proxy.spoilt["replace"] % 2 == 0), "a key's name in the error")
    proxy.clear()

    t.ok(wait_for(is_served), "in the end all is well")
    t.is_(nginx.get("/", nobody).status, 401, "for unknown keys, too")
    said = {x.split("cannot be used: ")[1].split(";")[0] for x in nginx.log().splitlines() if "cannot be used: " in x}
    t.ok(any(x.startswith("Redis refused HMGET of a key: ") for x in said), "the log says what was refused", *said)
    # Beside these there may be what the system says of a connection that the proxy cut.
    refused = [x for x in said if x.startswith("Redis ")]
    t.ok(all(re.fullmatch(r"[A-Za-z ,.-]+(: [A-Za-z ,.-]+)?", x) for x in refused), "in Redis' plain words", *said)
    t.ok(len([x for x in nginx.log().splitlines() if "api_key" in x]) < 40, "in few lines", nginx.log())
