#!/usr/bin/python3
# A valid key is let through under its owner's name; a wrong one, none and a revoked one are refused.
# Hazards: R25, P4, V10, V18

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat usage:read"), t.key(user="nobody")
    redis, upstream = t.redis(keys=[alice]), t.upstream()
    nginx = t.nginx(CONF, redis=redis, upstream=upstream)

    r = nginx.get("/", alice, headers={"X-User-Id": "mallory", "X-Other": "kept"})
    t.is_(r.status, 200, "a valid key is let through")
    t.is_(r.saw("X-User-Id"), ["alice"], "the upstream sees its owner and nobody else")
    t.is_(r.saw("X-Api-Key-Id"), [alice.id], "and its id")
    t.is_(r.saw("X-Api-Key-Scopes"), ["chat usage:read"], "and its scopes")
    t.is_(r.saw("Authorization"), [], "but not the key")
    t.is_(r.saw("X-Other"), ["kept"], "other headers pass")

    r = nginx.get("/", stranger)
    t.is_((r.status, r.code), (401, "invalid_api_key"), "an unknown key is refused")
    t.is_(r.header("WWW-Authenticate"), 'Bearer realm="test", error="invalid_token"', "with a challenge")

    r = nginx.get("/")
    t.is_((r.status, r.code), (401, "missing_api_key"), "no key is refused")
    t.is_(r.header("WWW-Authenticate"), 'Bearer realm="test"', "with a challenge that names no error")

    t.is_(nginx.get("/", headers={"authorization": f"bEARER {alice.key}"}).status, 200, "the scheme's case is free")

    redis.revoke(alice)
    r = nginx.get("/", alice)
    t.is_((r.status, r.code), (401, "invalid_api_key"), "a revoked key is refused")

    t.is_(len(upstream.requests), 2, "the upstream saw only what was let through")
    t.is_([(x["status"], x["user"]) for x in nginx.wait_requests(5)],
          [(200, "alice"), (401, ""), (401, ""), (200, "alice"), (401, "")], "the log names the user, once per request")
