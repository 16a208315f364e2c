#!/usr/bin/python3
# A FastCGI, uwsgi or SCGI upstream sees one HTTP_X_USER_ID, ours, or none; no client's header becomes one, and no key.
# Hazards: V10, V12, V18

import itertools

from lib.apikeytest import Test
from lib.apikeytest.recorders import FastCgi, Scgi, Uwsgi

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    underscores_in_headers %UNDERSCORES%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        include %API_KEY_PARAMS%;
        location /fastcgi/ { fastcgi_param SCRIPT_FILENAME /x; include %API_KEY_PARAMS%; fastcgi_pass %FASTCGI%; }
        location /uwsgi/   { uwsgi_pass %UWSGI%; }
        location /scgi/    { scgi_param SCGI 1; include %API_KEY_PARAMS%; scgi_pass %SCGI%; }
        location /off/ {                   # api_key does not run, the client's headers go all the same
            api_key off;
            location /off/fastcgi/ { fastcgi_pass %FASTCGI%; }
            location /off/uwsgi/   { uwsgi_pass %UWSGI%; }
            location /off/scgi/    { scgi_pass %SCGI%; }
        }
    }
}
"""


def spellings(name):
    words = name.split("-")
    for separators in itertools.product("-_", repeat=len(words) - 1):
        mixed = words[0] + "".join(s + word for s, word in zip(separators, words[1:]))
        yield from (mixed, mixed.lower())


NAMES = ("X-User-Id", "X-Api-Key-Id", "X-Api-Key-Scopes")
FORGED = [(spelling, "mallory") for name in NAMES for spelling in spellings(name)]
OURS = ("HTTP_X_USER_ID", "HTTP_X_API_KEY_ID", "HTTP_X_API_KEY_SCOPES", "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION")

with Test() as t:
    alice, none = t.key(user="alice", scopes="chat"), t.key(user="bob", scopes="")
    redis = t.redis(keys=[alice, none])
    others = {"fastcgi": FastCgi(t), "uwsgi": Uwsgi(t), "scgi": Scgi(t)}
    servers = {state: t.nginx(CONF, redis=redis, underscores=state, **others)
               for state in ("off", "on", "off; ignore_invalid_headers off")}

    def identity(nginx, path, key, headers):
        r = nginx.get(path, key, headers)
        t.is_(r.status, 200, f"{path}: let through")
        received = others[path.split("/")[-2]].requests[-1]
        t.ok(("HTTP_X_OTHER", "kept") in received, f"{path}: other headers pass")
        # Normalised as far as an application could.
        named = [(name.upper().replace("-", "_"), value) for name, value in received]
        return [(name, value) for name, value in sorted(named) if name in OURS]

    wants = {"alice": [("HTTP_X_API_KEY_ID", alice.id), ("HTTP_X_API_KEY_SCOPES", "chat"), ("HTTP_X_USER_ID", "alice")],
             "bob": [("HTTP_X_API_KEY_ID", none.id), ("HTTP_X_USER_ID", "bob")]}
    cases = {
        "nothing forged": [],
        "X-User-Id": [("X-User-Id", "mallory")],
        "twice": [("X-User-Id", "mallory"), ("x-user-id", "mallory")],
        "every spelling": FORGED,
        "every spelling twice": FORGED + FORGED,
        "Connection names it": [("Connection", "X-User-Id, Authorization"), *FORGED],
        "TE and Trailer": [("TE", "trailers"), ("Trailer", "X-User-Id"), *FORGED],
        "Proxy-Authorization": [("Proxy-Authorization", f"Bearer {alice.key}"), ("proxy_authorization", "x"), *FORGED],
    }
    for state, nginx in servers.items():
        for protocol in others:
            for name, headers in cases.items():
                headers = [("X-Other", "kept"), *headers]
                t.is_(identity(nginx, f"/{protocol}/", alice, headers), wants["alice"],
                      f"underscores {state}: {protocol}: {name}")
            t.is_(identity(nginx, f"/{protocol}/", none, headers), wants["bob"], f"{protocol}: no scopes, forged ones")
            for key in (alice, None):
                t.is_(identity(nginx, f"/off/{protocol}/", key, headers), [], f"{protocol}: no key was verified: nothing")
    seen = "".join(str(other.requests) for other in others.values())
    t.ok(alice.key not in seen and none.key not in seen and "mallory" not in seen, "no upstream saw a key, or mallory")
