#!/usr/bin/python3
# Something else stands where the epoch should be: it proves nothing, so no key is called unknown, and apikeyd makes it anew, whether it
# leads already or begins to.
# Hazards: R10, R23

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def replaced():
    """By a list, in one step."""
    client = redis.client()
    client.pipeline([["MULTI"], ["DEL", "apikey:epoch"], ["RPUSH", "apikey:epoch", "x"], ["EXEC"]])
    client.close()


def recovers(name):
    seen = set()

    def is_back():
        seen.add(nginx.get("/", alice).status)
        return 200 in seen and redis("TYPE", "apikey:epoch") == "string"

    t.ok(wait_for(is_back), f"{name}: keys are known again", daemon.log()[-2000:])
    t.is_(seen - {200, 503}, set(), f"{name}: and none was called unknown")
    t.like(daemon.log(), "apikey:epoch in Redis is no text", f"{name}: the log says so")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg, redis)
    alice = t.key(text=daemon.ctl("keys", "create", "--user", "alice", "--name", "x", json=True)["key"])
    nginx = t.nginx(CONF, redis=redis)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "all is well")
    replaced()
    recovers("apikeyd leads")
    daemon.stop()
    replaced()
    t.is_(nginx.get("/", alice).status, 503, "without apikeyd nothing is known")
    daemon.start(wait=False)
    recovers("apikeyd begins")
